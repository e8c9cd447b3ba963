"""
The endpoint string ``limit:`` for any Twisted server: ``twistd web --listen limit:max=9:tcp:8080``.

Every program that reads endpoint strings may load this module, so it imports little.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer

from tcplab.wire.endpointstring import explained, joined


class LimitError(ValueError):
    """A mistake in the words after ``limit:``; the text is one line with what to write."""


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
    """An option: its reader, the argument of `LimitedEndpoint` that it becomes, and an example."""

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

    All options are optional, and ``none`` instead of seconds is no limit. ``ENDPOINT`` is any
    server endpoint string of stream sockets, with its own options. Further clients wait in its
    backlog, which has room for 50 unless ``backlog=`` says more. Twisted gathers the options of a
    string wherever they stand: of one that is given twice it takes the last.
    """

    prefix = "limit"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamServerEndpoint:
        """
        Make the endpoint; nothing is bound yet.

        :raises LimitError: there is a mistake in the words.
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


def _inner(reactor: Any, words: tuple[str, ...], options: dict[str, str]) -> IStreamServerEndpoint:
    if not words or words == ("",):
        raise LimitError("limit: there is no endpoint: write one, as in limit:max=100:tcp:8080")
    if words[0] in _OPTIONS:
        raise LimitError(f"limit: {words[0]} has no value: write {_OPTIONS[words[0]].example}")
    text = joined(words, options)
    try:
        inner: IStreamServerEndpoint = serverFromString(reactor, text)
    except LimitError:
        raise
    except (TypeError, ValueError) as e:
        problem = explained(e)
        own = f" (limit's own options are {', '.join(_OPTIONS)})" if "no option" in problem else ""
        raise LimitError(f"limit: {text}: {problem}{own}") from None
    return inner
