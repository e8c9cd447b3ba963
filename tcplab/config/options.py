"""The options of a lab as one frozen value: `Settings`, made of typed words or of Python values."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, replace
from ipaddress import ip_address
from typing import Any

from tcplab.config.behaviourspec import BehaviourSpec, parseServe, parseSpec
from tcplab.config.checks import Named, checkFaults, checkNames, checkPeers, checkProxies
from tcplab.config.errors import SettingsError
from tcplab.config.optionparsers import (
    Parser,
    count,
    escapedBytes,
    integer,
    oneOf,
    option,
    optionsOf,
    parsed,
    plainText,
    repeatable,
    seconds,
)
from tcplab.faults.spec import FaultSpec, parseFault
from tcplab.wire.names import PROXY_VERSIONS, UNIX
from tcplab.wire.suggestion import suggest

#: The recipe's own port. It lies in the range that the kernel hands out to clients.
DEFAULT_PORT = "50544"
#: The address of --port without --interface: only programs on this machine can connect.
DEFAULT_INTERFACE = "127.0.0.1"
DEFAULT_BEHAVIOUR = "lab"
_DEFAULT_SPEC = BehaviourSpec(DEFAULT_BEHAVIOUR, (), DEFAULT_BEHAVIOUR)
#: Connections that may wait to be accepted on --port: a burst of 5,000 at once, and room. Where a
#: burst overflows it no client is refused, but some connect a second later or more (the kernel
#: drops their SYN, and they send it again). The kernel cuts it to net.core.somaxconn, 4096 since
#: Linux 5.4.
BACKLOG = 8192

#: Each is a process of 50 MB; a machine with so many cores is rare.
MOST_WORKERS = 256


@dataclass(frozen=True, slots=True, init=False)
class ListenerSettings:
    """
    What one listener serves, and where.

    :ivar name: what it is called in the log and in the port file; no two have the same.
    :ivar spec: what it serves. It may be made of a SPEC's text, or of a Protocol class, a factory
        or a coroutine function.
    :ivar endpoint: where: a Twisted server endpoint string.
    :ivar option: what messages about it begin with: the words it came from; empty for ``--port``.
    :raises SettingsError: a value makes no sense.
    """

    name: str
    spec: BehaviourSpec
    endpoint: str
    option: str

    def __init__(self, name: str, spec: object, endpoint: str, option: str = "") -> None:
        if not (isinstance(name, str) and re.fullmatch(r"\S+", name)):
            raise SettingsError(f"name {name!r}: give a word, as in 'echo'")
        if not (isinstance(endpoint, str) and endpoint.strip()):
            raise SettingsError(f"endpoint {endpoint!r}: give a text, as in 'tcp:8888'")
        try:
            values = name, BehaviourSpec.of(spec), endpoint, option
        except ValueError as e:
            raise SettingsError(f"spec {e}") from None
        for field, value in zip(("name", "spec", "endpoint", "option"), values, strict=True):
            object.__setattr__(self, field, value)


# How single options are read


def _interface(word: str) -> str:
    try:
        _addressOf(word)
        return word
    except ValueError:
        raise ValueError(
            f"{word}: give an address of this machine: 127.0.0.1 or ::1 (only this machine can"
            " connect), 0.0.0.0 or :: (everyone can)"
        ) from None


def _addressOf(interface: str) -> str:
    return str(ip_address(DEFAULT_INTERFACE if interface == "localhost" else interface))


def _path(word: str) -> str:
    if not word:
        raise ValueError("is empty: give the name of a file to write")
    return os.path.abspath(word)


def _proxy(word: str) -> str:
    if word != UNIX:
        from tcplab.policies.proxyprotocol import networkOf

        networkOf(word)
    return word


def _fault(word: str) -> FaultSpec:
    try:
        return parseFault(word)
    except ValueError as e:
        raise ValueError(str(e).removeprefix("fault ")) from None


def _observer(word: str) -> str:
    if not word:
        raise ValueError("is empty: give the name of an observer")
    return word


def _served(words: str) -> ListenerSettings:
    spec, endpoint = parseServe(words)
    return ListenerSettings(spec.name, spec, endpoint, words)


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """
    The options about what is served where; they become the listeners of `Settings`.

    :ivar port: the number of a TCP port; 0: the system chooses.
    :ivar interface: the address that the port has.
    :ivar behaviour: what is served on it.
    :ivar serve: other listeners; without a port, they replace it.
    """

    port: int | None = option(
        f"Serve on this TCP port [{DEFAULT_PORT}]; 0 lets the system choose.",
        integer(65535, "a port is a number from 0 to 65535 (0 lets the system choose)"),
        None,
        letter="p",
    )
    interface: str | None = option(
        f"Where --port listens [{DEFAULT_INTERFACE}]; 0.0.0.0 or :: opens it to others.",
        plainText(_interface),
        None,
        letter="i",
    )
    behaviour: BehaviourSpec | None = option(
        f"The SPEC of what --port serves [{DEFAULT_BEHAVIOUR}].",
        Parser(parseSpec, BehaviourSpec.of),
        None,
        letter="b",
    )
    serve: tuple[ListenerSettings, ...] = repeatable(
        "SPEC@ENDPOINT: serve on any Twisted endpoint, as in echo@tcp:8888; repeatable.",
        parsed(_served, ListenerSettings),
        letter="s",
    )

    def listeners(self, named: Named) -> tuple[ListenerSettings, ...]:
        """
        Make the listeners.

        A name that several have becomes ``echo``, ``echo-2``, ``echo-3``.

        :param named: what messages call the options.
        :raises SettingsError: a value belongs to the port, which is not served.
        """
        serve = named["serve"]
        if self.port is None and self.serve:
            self._refuse(named, "behaviour", f"{serve} names its own behaviour before the @")
            self._refuse(named, "interface", f"{serve} names its own address after the @")
            found = []
        else:
            found = [self._ofPort()]
        for each in self.serve:
            found.append(replace(each, option=f"{serve} {each.option or each.name}"))
        count: dict[str, int] = {}
        for at, each in enumerate(found):
            count[each.name] = number = count.get(each.name, 0) + 1
            if number > 1:
                found[at] = replace(each, name=f"{each.name}-{number}")
        return tuple(found)

    def _refuse(self, named: Named, name: str, reason: str) -> None:
        if (value := getattr(self, name)) is not None:
            own, port, serve = named[name], named["port"], named["serve"]
            raise SettingsError(
                f"{own} {value} belongs to {port}, and {serve} has replaced the default port:"
                f" {reason}; give {port} {DEFAULT_PORT} too, or leave {own} out"
            )

    def _ofPort(self) -> ListenerSettings:
        spec = _DEFAULT_SPEC if self.behaviour is None else self.behaviour
        address = _addressOf(self.interface or DEFAULT_INTERFACE)
        port = DEFAULT_PORT if self.port is None else self.port
        kind = "tcp6" if ":" in address else "tcp"
        quoted = address.replace(":", "\\:")
        return ListenerSettings(
            spec.name, spec, f"{kind}:{port}:interface={quoted}:backlog={BACKLOG}"
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What a lab is to do.

    The fields are the options of ``twistd tcplab --help``, in camelCase. ``None`` is what the help
    text names as the default, and no limit where that is ``none``. Messages call the options by
    the argument ``named``; without it, by their names in Python.

    :ivar listeners: at least one.
    :ivar proxyFrom: the proxies that are believed: addresses, networks, ``unix``.
    :ivar observerNames: of classes that are called for an observer each.
    :ivar workers: processes that share the ports, besides the first; ``None``: that one serves.

    :raises SettingsError: the values make no sense.
    """

    listeners: tuple[ListenerSettings, ...]
    greeting: bytes | None = option(
        r"What behaviours that speak first say (\n, \r, \t, \\, \xNN understood).",
        escapedBytes("give a text, or use --behaviour echo to say none"),
        None,
        letter="g",
    )
    lingerTimeout: float | None = option(
        "Seconds a peer has to finish after we have [2].", seconds(), None
    )
    portFile: str | None = option(
        "Written at once when all ports listen: a line each, NAME HOST PORT or NAME unix PATH.",
        plainText(_path),
        None,
    )
    maxConnections: int | None = option(
        "Above this many, who connects waits in the backlog [what the file descriptors allow].",
        count(),
        None,
        logged=True,
    )
    maxPerPeer: int | None = option(
        "Above this many, a peer is told: busy [{}].", count(none=True), None, logged=True
    )
    idleTimeout: float | None = option(
        "Seconds in which neither side says anything [{}].", seconds(none=True), None, logged=True
    )
    # 5 s are ranch's and thousand_island's; a handshake takes 0.1 s.
    handshakeTimeout: float | None = option(
        "Seconds for a PROXY header, and a TLS handshake [{}].",
        seconds(none=True),
        5.0,
        logged=True,
    )
    # TCP's own retransmissions span a loss of some seconds.
    writeTimeout: float | None = option(
        "Seconds in which a peer reads nothing of what waits for it [{}].",
        seconds(none=True),
        30.0,
        logged=True,
    )
    drainDelay: float = option(
        "Seconds to go on accepting after SIGTERM [{}].", seconds(zero=True), 0.0
    )
    # 15 s are thousand_island's; orchestrators kill after 30 s.
    drainTimeout: float | None = option(
        "Seconds to finish in when it ends; the rest is aborted [{}].",
        seconds(none=True),
        15.0,
        logged=True,
    )
    proxyProtocol: str | None = option(
        "Expect a PROXY header first: v1, v2 or any.", oneOf(tuple(PROXY_VERSIONS)), None
    )
    proxyFrom: tuple[str, ...] = repeatable(
        "Believe proxies from here, as in 10.0.0.0/8; repeatable.", plainText(_proxy)
    )
    workers: int | None = option(
        "Processes that share the ports [{}].",
        count(most=MOST_WORKERS, reason="as many as there are cores is plenty"),
        None,
    )
    faults: tuple[FaultSpec, ...] = repeatable(
        "KIND[,key=value...][@LISTENER]: break it on purpose: latency,latency=100; repeatable.",
        parsed(_fault, FaultSpec),
        flag="fault",
    )
    seed: int | None = option(
        "For faults that roll dice: repeats every roll [chosen, and logged].",
        integer(10**18 - 1, "give a whole number from 0 up, of 18 digits at most"),
        None,
    )
    observerNames: tuple[str, ...] = repeatable(
        "Report connections to this too: package.module.Name, a class of yours; repeatable.",
        plainText(_observer),
        flag="observer",
    )
    named: InitVar[Named | None] = None

    def __post_init__(self, named: Named | None) -> None:
        named = named or _KEYWORDS
        for name, each in SETTINGS.items():
            value = getattr(self, name)
            if value is not each.default:
                object.__setattr__(self, name, each.accept(value, named[name]))
        names = []
        for listener in self.listeners:
            if not isinstance(listener, ListenerSettings):
                raise SettingsError(f"listeners {listener!r}: give ListenerSettings")
            names.append(listener.name)
        checkNames(names, named)
        checkFaults(self.faults, self.seed, names, self.workers, named)
        checkProxies(self.proxyProtocol, self.proxyFrom, named)
        checkPeers(self.maxPerPeer, self.maxConnections, self.workers or 1, named)

    @classmethod
    def of(
        cls,
        behaviour: object = None,
        *,
        listeners: Sequence[str | ListenerSettings] = (),
        **values: Any,
    ) -> Settings:
        """
        Make settings of values in Python.

        :param behaviour: what the port serves: a SPEC's text, a Protocol class, a factory or a
            coroutine function; ``None`` for the default.
        :param listeners: further ones: ``SPEC@ENDPOINT``, or settings; without a port, they
            replace it.
        :param values: ``port``, ``interface``, and the fields of this class, by name. Faults may be
            texts.
        :raises SettingsError: a value makes no sense, or two contradict each other; the text names
            it as it is named here.
        :raises TypeError: there is no such setting.
        """
        given = {"behaviour": behaviour, "serve": listeners}
        for name in [each for each in values if each not in SETTINGS]:
            if name not in LISTENERS or name in given:
                raise _unknown(name, {"listeners", *OPTIONS} - {"serve"})
            given[name] = values.pop(name)
        own: dict[str, Any] = {
            name: LISTENERS[name].accept(value, _KEYWORDS[name])
            for name, value in given.items()
            if value is not LISTENERS[name].default
        }
        return cls(ListenerOptions(**own).listeners(_KEYWORDS), **values)


#: The options, by the names of the fields.
LISTENERS = optionsOf(ListenerOptions)
SETTINGS = optionsOf(Settings)
OPTIONS = {**LISTENERS, **SETTINGS}

# What messages call the options, where they are typed and in Python.
_FLAGS = {name: option.flag for name, option in OPTIONS.items()}
_KEYWORDS = {**{name: name for name in OPTIONS}, "serve": "listeners"}


#: What is typed for an option; ``None``: it is not given. A number may stand for its word.
Words = str | float | Sequence[str] | None


def fromWords(**words: Words) -> Settings:
    """
    Make settings of the command line's words; ``None`` is an option that was not given.

    Their names are the options', in camelCase: ``--port-file`` is ``portFile``. Those of an option
    that may be repeated are a list: ``serve``, ``proxyFrom`` and ``faults``. A number may be typed
    as one.

    A lab that is updated while it runs starts new workers with the words it was started with.
    Therefore a name stays as it is, or is understood beside the new one.

    :raises SettingsError: a word is wrong, or two contradict each other.
    :raises TypeError: there is no such option, or it has no such value.
    """
    values: dict[str, Any] = {}
    for name, typed in words.items():
        if name not in OPTIONS:
            raise _unknown(name, OPTIONS)
        if typed is not None and typed != []:
            values[name] = OPTIONS[name].read(typed)
    own = {name: values.pop(name) for name in LISTENERS if name in values}
    return Settings(ListenerOptions(**own).listeners(_FLAGS), **values, named=_FLAGS)


def _unknown(name: str, known: Iterable[str]) -> TypeError:
    return TypeError(
        f"there is no setting {name!r}{suggest(name, known)}: an option's name in camelCase is one,"
        " idleTimeout for --idle-timeout"
    )
