"""What a lab is to do, as one frozen value, and how the words of the command line become it."""

from __future__ import annotations

import inspect
import os.path
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from tcplab.config.behaviourspec import BehaviourSpec, SpecError, parseServe, parseSpec
from tcplab.config.checks import (
    checkFaults,
    checkNames,
    checkPeers,
    checkProxies,
    checkWorkers,
    readFaults,
    readSeed,
)
from tcplab.config.errors import SettingsError, suggest
from tcplab.config.options import AMOUNTS
from tcplab.faults import FaultSpec
from tcplab.wire.escaping import unescape

#: The recipe's own port. It lies in the range that the kernel hands out to clients.
DEFAULT_PORT = "50544"
#: Who can connect unless --interface says otherwise: programs on this machine.
DEFAULT_INTERFACE = "127.0.0.1"
DEFAULT_BEHAVIOUR = "lab"
#: Connections that may wait to be accepted on --port: a burst of 5,000 at once, and room. Where a
#: burst overflows it nobody is refused, but the rest is late by a second or more (the client's SYN
#: is dropped and sent again). The kernel cuts it to net.core.somaxconn, 4096 since Linux 5.4.
BACKLOG = 8192


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """
    What one listener serves, and where.

    :ivar name: what it is called in the port file; no two have the same.
    :ivar spec: what it serves.
    :ivar endpoint: where: a Twisted server endpoint string.
    :ivar option: the words it came from, to begin messages with; empty for ``--port``.
    """

    name: str
    spec: BehaviourSpec
    endpoint: str
    option: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What a lab is to do.

    :ivar listeners: at least one.
    :ivar greeting: what behaviours that speak first say; ``None``: what each says by itself.
    :ivar lingerTimeout: seconds a peer has to finish after we have; ``None``: as each behaviour
        says.
    :ivar portFile: the absolute path of the file that says where the listeners are, or ``None``.
    :ivar maxConnections: on all listeners together; ``None``: as many as the descriptors allow.
    :ivar maxPerPeer: of one peer, an IPv4 address or the /64 of an IPv6 address; ``None``: no
        limit.
    :ivar idleTimeout: seconds in which neither side says anything; ``None``: no limit.
    :ivar handshakeTimeout: seconds for a TLS handshake; ``None``: no limit.
    :ivar writeTimeout: seconds in which a peer takes nothing of what waits for it; ``None``: no
        limit.
    :ivar drainDelay: seconds to go on accepting when it is to end.
    :ivar drainTimeout: seconds to finish in, once nobody is accepted any more; ``None``: no limit.
    :ivar proxyProtocol: the PROXY header that everyone has to begin with: ``v1``, ``v2`` or
        ``any``; ``None``: nobody does.
    :ivar proxyFrom: the proxies that are believed: addresses, networks, ``unix``.
    :ivar workers: processes that share the ports, besides the first; ``None``: that one serves.
    :ivar faults: what goes wrong on purpose, in this order.
    :ivar seed: of their dice; ``None``: one is chosen, and logged.
    :raises SettingsError: the values make no sense.
    """

    listeners: tuple[ListenerSettings, ...]
    greeting: bytes | None = None
    lingerTimeout: float | None = None
    portFile: str | None = None
    maxConnections: int | None = None
    maxPerPeer: int | None = None
    idleTimeout: float | None = None
    handshakeTimeout: float | None = 5.0  # ranch's and thousand_island's; a handshake takes 0.1 s
    writeTimeout: float | None = 30.0  # TCP's own retransmissions span a loss of some seconds
    drainDelay: float = 0.0
    drainTimeout: float | None = 15.0  # thousand_island's; orchestrators kill after 30 s
    proxyProtocol: str | None = None
    proxyFrom: tuple[str, ...] = ()
    workers: int | None = None
    faults: tuple[FaultSpec, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        names = [listener.name for listener in self.listeners]
        try:
            checkNames(names)
            for name, amount in AMOUNTS.items():
                amount.check(getattr(self, name))
            checkFaults(self.faults, self.seed, names, self.workers)
            checkProxies(self.proxyProtocol, self.proxyFrom)
            checkWorkers(self.workers or 1)
            checkPeers(self.maxPerPeer, self.maxConnections, self.workers or 1)
        except ValueError as e:
            raise SettingsError(str(e)) from None


def fromWords(
    *,
    port: str | int | None = None,
    interface: str | None = None,
    behaviour: str | None = None,
    serve: Sequence[str] = (),
    greeting: str | None = None,
    portFile: str | None = None,
    proxyProtocol: str | None = None,
    proxyFrom: Sequence[str] = (),
    faults: Sequence[str] = (),
    seed: str | int | None = None,
    **amounts: str | float | None,
) -> Settings:
    """
    Make settings of the command line's words; ``None`` is an option that was not given.

    Each is the option's, in camelCase: ``--port-file`` is ``portFile``. What may be given several
    times is a list: ``serve``, ``proxyFrom`` and ``faults``. Numbers may be numbers.

    :param amounts: those of `tcplab.config.options.AMOUNTS`, by their names.
    :raises SettingsError: a word is wrong, or two contradict each other.
    :raises TypeError: there is no such option, or it has no such value.
    """
    _checkKinds(amounts, serve=serve, proxyFrom=proxyFrom, faults=faults)
    port = port if port is None else str(port)
    seed = seed if seed is None else str(seed)
    if port is None and serve:
        _refuse("--behaviour", behaviour, "--serve names its own behaviour before the @")
        _refuse("--interface", interface, "--serve names its own address after the @")
    listeners = [] if port is None and serve else [_ofPort(port, interface, behaviour)]
    listeners += [_ofServe(words) for words in serve]
    return Settings(
        listeners=tuple(_named(listeners)),
        greeting=None if greeting is None else _greeting(greeting),
        portFile=None if portFile is None else _path(portFile),
        proxyProtocol=proxyProtocol,
        proxyFrom=tuple(proxyFrom),
        **_faults(faults, seed),
        **_amounts(amounts),
    )


def _checkKinds(amounts: Mapping[str, object], **lists: object) -> None:
    """Refuse what the command line cannot say: it is a program's mistake."""
    for name in amounts:
        if name not in AMOUNTS:
            known = [*inspect.signature(fromWords).parameters, *AMOUNTS]
            raise TypeError(
                f"there is no setting {name!r}{suggest(name, known)}: an option's name in"
                " camelCase is one, idleTimeout for --idle-timeout"
            )
    for name, words in lists.items():
        if isinstance(words, str | bytes):
            raise TypeError(f"{name} is {words!r}: give a list, as in {name}=[{words!r}]")


def _refuse(option: str, word: str | None, reason: str) -> None:
    if word is not None:
        raise SettingsError(
            f"{option} {word} belongs to --port, and --serve has replaced the default port:"
            f" {reason}; give --port {DEFAULT_PORT} too, or leave {option} out"
        )


def _ofPort(port: str | None, interface: str | None, behaviour: str | None) -> ListenerSettings:
    number = _portNumber(DEFAULT_PORT if port is None else port)
    address = _address(DEFAULT_INTERFACE if interface is None else interface)
    try:
        spec = parseSpec(DEFAULT_BEHAVIOUR if behaviour is None else behaviour)
    except SpecError as e:
        raise SettingsError(f"--behaviour {e}") from None
    kind = "tcp6" if ":" in address else "tcp"
    quoted = address.replace(":", "\\:")
    endpoint = f"{kind}:{number}:interface={quoted}:backlog={BACKLOG}"
    return ListenerSettings(spec.name, spec, endpoint)


def _ofServe(words: str) -> ListenerSettings:
    try:
        spec, endpoint = parseServe(words)
    except SpecError as e:
        raise SettingsError(f"--serve {e}") from None
    return ListenerSettings(spec.name, spec, endpoint, f"--serve {words}")


def _named(listeners: Iterable[ListenerSettings]) -> Iterable[ListenerSettings]:
    # A repeated name becomes name-2, name-3.
    count: dict[str, int] = {}
    for each in listeners:
        count[each.name] = number = count.get(each.name, 0) + 1
        name = each.name if number == 1 else f"{each.name}-{number}"
        yield ListenerSettings(name, each.spec, each.endpoint, each.option)


def _portNumber(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 5 and int(word) <= 65535):
        raise SettingsError(
            f"--port {word}: a port is a number from 0 to 65535 (0 lets the system choose)"
        )
    return int(word)


def _address(word: str) -> str:
    if word == "localhost":
        return DEFAULT_INTERFACE
    try:
        return str(ip_address(word))
    except ValueError:
        raise SettingsError(
            f"--interface {word}: give an address of this machine: 127.0.0.1 or ::1 (only this"
            " machine can connect), 0.0.0.0 or :: (everyone can)"
        ) from None


def _greeting(word: str) -> bytes:
    try:
        greeting = unescape(word)
    except ValueError as e:
        raise SettingsError(f"--greeting {word}: {e}") from None
    if not greeting:
        raise SettingsError("--greeting is empty: give a text, or use --behaviour echo to say none")
    return greeting


def _amounts(words: Mapping[str, str | float | None]) -> dict[str, Any]:
    given = {name: str(word) for name, word in words.items() if word is not None}
    try:
        return {name: AMOUNTS[name].read(word) for name, word in given.items()}
    except ValueError as e:
        raise SettingsError(str(e)) from None


def _faults(faults: Sequence[str], seed: str | None) -> dict[str, Any]:
    try:
        return {"faults": readFaults(faults), "seed": None if seed is None else readSeed(seed)}
    except ValueError as e:
        raise SettingsError(str(e)) from None


def _path(word: str) -> str:
    if not word:
        raise SettingsError("--port-file is empty: give the name of a file to write")
    return os.path.abspath(word)
