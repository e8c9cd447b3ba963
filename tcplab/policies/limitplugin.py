"""
The endpoint string ``limit:`` for any Twisted server: ``twistd web --listen limit:max=9:tcp:8080``.

Every program that reads endpoint strings may load this module: it imports little.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer

from tcplab.wire.endpointstring import explained, joined

if TYPE_CHECKING:
    from tcplab.policies.limitendpoint import LimitedEndpoint


class LimitError(ValueError):
    """The words after ``limit:`` make no sense; the text is one line that says what to write."""


def _count(word: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,8}", word):
        raise ValueError("a whole number above 0")
    return int(word)


def _seconds(word: str) -> float | None:
    if word == "none":
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", word) or not float(word):
        raise ValueError("a number of seconds above 0, or none")
    return float(word)


class _Option(NamedTuple):
    """How an option is read, which argument of `LimitedEndpoint` it is, and an example."""

    read: Callable[[str], float | None]
    argument: str
    example: str


_OPTIONS = {
    "max": _Option(_count, "maxConnections", "max=100"),
    "per-peer": _Option(_count, "maxPerPeer", "per-peer=5"),
    "idle": _Option(_seconds, "idle", "idle=60"),
    "handshake": _Option(_seconds, "handshake", "handshake=5"),
    "write": _Option(_seconds, "write", "write=30"),
}


@implementer(IPlugin, IStreamServerEndpointStringParser)
class LimitParser:
    """
    Read ``limit:max=100:per-peer=5:idle=60:handshake=5:write=30:ENDPOINT``.

    All are optional, and ``none`` instead of seconds is no limit. ``ENDPOINT`` is any server
    endpoint string of stream sockets, with its own options. Whoever waits does so in its backlog,
    which has room for 50 unless ``backlog=`` says more. Twisted gathers the options of a string
    wherever they stand: of one that is given twice it takes the last.
    """

    prefix = "limit"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> LimitedEndpoint:
        """
        Make the endpoint; nothing is bound yet.

        :raises LimitError: the words make no sense.
        """
        from tcplab.policies.limitendpoint import LimitedEndpoint

        own = [(name, kwargs.pop(name)) for name in _OPTIONS if name in kwargs]
        limits: dict[str, Any] = {_OPTIONS[name].argument: _read(name, word) for name, word in own}
        return LimitedEndpoint(reactor, _inner(reactor, args, kwargs), **limits)


def _read(name: str, word: str) -> float | None:
    option = _OPTIONS[name]
    try:
        return option.read(word)
    except ValueError as e:
        raise LimitError(f"limit: {name}={word}: give {e}, as in {option.example}") from None


def _inner(reactor: Any, words: tuple[str, ...], options: dict[str, str]) -> Any:
    if not words or words == ("",):
        raise LimitError("limit: there is no endpoint: write one, as in limit:max=100:tcp:8080")
    if words[0] in _OPTIONS:
        raise LimitError(f"limit: {words[0]} has no value: write {_OPTIONS[words[0]].example}")
    text = joined(words, options)
    try:
        return serverFromString(reactor, text)
    except LimitError:
        raise
    except (TypeError, ValueError) as e:
        problem = explained(e)
        own = f" (limit's own options are {', '.join(_OPTIONS)})" if "no option" in problem else ""
        raise LimitError(f"limit: {text}: {problem}{own}") from None
