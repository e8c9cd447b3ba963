"""
The endpoint string ``fault:`` for any Twisted server or client: ``fault:stall,for=2s:tcp:8080``.

Every program that reads endpoint strings may load this module, so it imports little.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

from tcplab.wire.endpointstring import explained, joined

_Endpoint = TypeVar("_Endpoint")

_SEED = re.compile(r"(?<!\\),seed=([0-9]{1,18})(?=,|$)")


@implementer(
    IPlugin, IStreamServerEndpointStringParser, IStreamClientEndpointStringParserWithReactor
)
class FaultParser:
    """
    Read ``fault:KIND,key=value,…:ENDPOINT``; the fault is written as for ``--fault``.

    ``seed=N`` among its keys repeats its random numbers. ``ENDPOINT`` is any endpoint string of
    stream sockets. It may be another ``fault:``; the first one acts first.

    **Limit:** two faults that are alike up to the second ``=`` are refused. Twisted takes that part
    for a keyword, and keeps one of two keywords that are alike.
    """

    prefix = "fault"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamServerEndpoint:
        """
        Make the endpoint of a server; it does not listen yet.

        :raises FaultError: the string is not a fault and an endpoint.
        """
        from tcplab.faults.faultendpoint import FaultedServerEndpoint

        text, seed, inner = _read(reactor, serverFromString, args, kwargs)
        return FaultedServerEndpoint(reactor, inner, text, seed=seed)

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamClientEndpoint:
        """
        Make the endpoint of a client; it does not connect yet.

        :raises FaultError: the string is not a fault and an endpoint.
        """
        from tcplab.faults.faultendpoint import FaultedClientEndpoint
        from tcplab.reactor.clientendpoint import clientFromText

        text, seed, inner = _read(reactor, clientFromText, args, kwargs)
        return FaultedClientEndpoint(reactor, inner, text, seed=seed)


def _read(
    reactor: object,
    make: Callable[..., _Endpoint],
    words: tuple[str, ...],
    options: dict[str, str],
) -> tuple[str, int | None, _Endpoint]:
    from tcplab.faults import FaultError, parseFault

    text, words, options = _taken(words, options)
    found = _SEED.search(text)
    text = _SEED.sub("", text)
    parseFault(text)
    if not words:
        raise FaultError(f"fault: there is no endpoint: write one, as in fault:{text}:tcp:8080")
    inner = joined(words, options)
    try:
        return text, int(found[1]) if found else None, make(reactor, inner)
    except FaultError:
        raise
    except (TypeError, ValueError) as e:
        problem = explained(e)
        if "no kind of endpoint" in problem:
            problem += " (a colon in a fault is written \\:)"
        raise FaultError(f"fault: {inner}: {problem}") from None


def _taken(
    words: tuple[str, ...], options: dict[str, str]
) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """Take the fault out of what Twisted has split: a word, or a keyword that has a comma."""
    from tcplab.faults import KINDS, FaultError
    from tcplab.faults.kindlookup import unknownKind

    if words and _kindOf(words[0]) in KINDS:
        return words[0], words[1:], options
    faults = [key for key in options if "," in key]
    wanted = 1 + sum(
        word == "fault" and words[at + 1 : at + 2] != () and _kindOf(words[at + 1]) not in KINDS
        for at, word in enumerate(words)
    )
    if len(faults) < wanted and faults:
        raise FaultError(
            f"fault: two faults begin alike, and Twisted keeps one: write {faults[0]}=… with its"
            " keys in another order"
        )
    if not faults:
        raise FaultError(f"fault: {unknownKind(_kindOf(words[0]) if words else '')}")
    rest = {key: value for key, value in options.items() if key != faults[0]}
    return f"{faults[0]}={options[faults[0]]}", words, rest


def _kindOf(word: str) -> str:
    return word.partition(",")[0]
