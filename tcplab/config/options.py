"""The options of a lab as one frozen value: `Settings`, from the command line or from Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tcplab.config.checks import Named, checkFaults, checkNames, checkPeers, checkProxies
from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import ListenerOptions, ListenerSettings
from tcplab.config.optionparsers import (
    Words,
    count,
    escapedBytes,
    filePath,
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

#: Each is a process of 50 MB; a machine with so many cores is rare.
MOST_WORKERS = 256


# How single options are read


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
        r"The greeting of behaviours that send one; \n, \r, \t, \\ and \xNN are escapes.",
        escapedBytes("give a text, or use --behaviour echo for no greeting"),
        None,
        letter="g",
    )
    lingerTimeout: float | None = option(
        "Seconds to wait for the client to close its side after ours [2].", seconds(), None
    )
    portFile: str | None = option(
        "Write this file once all ports listen: a line each, NAME HOST PORT or NAME unix PATH.",
        filePath(),
        None,
    )
    logFormat: str = option("Lines of the log: text or json [{}].", oneOf(("text", "json")), "text")
    logFile: str | None = option(
        "Append the log to this file; SIGUSR1 opens it again.", filePath(), None
    )
    maxConnections: int | None = option(
        "Maximum open connections; further clients wait in the listen queue"
        " [what the file descriptors allow].",
        count(),
        None,
        logged=True,
    )
    maxPerPeer: int | None = option(
        "Maximum open connections of one address; further ones get busy and a close [{}].",
        count(none=True),
        None,
        logged=True,
    )
    idleTimeout: float | None = option(
        "Reset a connection after this many seconds without a byte either way [{}].",
        seconds(none=True),
        None,
        logged=True,
    )
    # 5 s are ranch's and thousand_island's; a handshake takes 0.1 s.
    handshakeTimeout: float | None = option(
        "Seconds for a PROXY header, and again for a TLS handshake [{}].",
        seconds(none=True),
        5.0,
        logged=True,
    )
    # TCP's own retransmissions span a loss of some seconds.
    writeTimeout: float | None = option(
        "Reset a client that reads nothing for this many seconds while data waits for it [{}].",
        seconds(none=True),
        30.0,
        logged=True,
    )
    drainDelay: float = option(
        "Seconds to go on accepting after SIGTERM [{}].", seconds(zero=True), 0.0
    )
    # 15 s are thousand_island's; orchestrators kill after 30 s.
    drainTimeout: float | None = option(
        "Seconds to finish after SIGTERM, then reset [{}].",
        seconds(none=True),
        15.0,
        logged=True,
    )
    proxyProtocol: str | None = option(
        "Require a PROXY protocol header on each connection: v1, v2 or any.",
        oneOf(tuple(PROXY_VERSIONS)),
        None,
    )
    proxyFrom: tuple[str, ...] = repeatable(
        "Trust PROXY headers from this address, network (10.0.0.0/8) or unix; repeatable.",
        plainText(_proxy),
    )
    workers: int | None = option(
        "Number of processes that share the ports [{}].",
        count(most=MOST_WORKERS, reason="as many as there are cores is plenty"),
        None,
    )
    faults: tuple[FaultSpec, ...] = repeatable(
        "Break connections on purpose: KIND[,key=value...][@LISTENER]; repeatable.",
        parsed(_fault, FaultSpec),
        flag="fault",
    )
    seed: int | None = option(
        "Seed of the random numbers of faults, which repeats them [chosen, and logged].",
        integer(10**18 - 1, "give a whole number from 0 up, of 18 digits at most"),
        None,
    )
    observerNames: tuple[str, ...] = repeatable(
        "Also report connections to this observer of yours, package.module.Name; repeatable.",
        plainText(_observer),
        flag="observer",
    )
    named: Named | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = self.named or _KEYWORDS
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

    @property
    def names(self) -> Named:
        """What messages call the options."""
        return self.named or _KEYWORDS

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


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """
    The options about where other options are.

    :ivar config: a TOML file.
    """

    config: str | None = option(
        "A TOML file of options; the other sources override it.",
        plainText(str),
        None,
    )


#: The options, by the names of the fields.
SOURCES = optionsOf(SourceOptions)
LISTENERS = optionsOf(ListenerOptions)
SETTINGS = optionsOf(Settings)
OPTIONS = {**LISTENERS, **SETTINGS}

# What messages call the options, where they are typed and in Python.
_FLAGS = {name: option.flag for name, option in OPTIONS.items()}
_KEYWORDS = {**{name: name for name in OPTIONS}, "serve": "listeners"}


def fromWords(named: Named | None = None, /, **words: Words) -> Settings:
    """
    Make settings of the command line's words; ``None`` is an option that was not given.

    Their names are the options', in camelCase: ``--port-file`` is ``portFile``. Those of an option
    that may be repeated are a list: ``serve``, ``proxyFrom`` and ``faults``. A number may be typed
    as one.

    A lab whose code is replaced while it runs starts new workers with its first arguments.
    Therefore a name stays as it is, or is understood beside the new one.

    :param named: what messages call the options; as they are typed, if ``None``.
    :raises SettingsError: a word is wrong, or two contradict each other.
    :raises TypeError: there is no such option, or it has no such value.
    """
    named = named or _FLAGS
    values: dict[str, Any] = {}
    for name, typed in words.items():
        if name not in OPTIONS:
            raise _unknown(name, OPTIONS)
        if typed is not None and typed != []:
            values[name] = OPTIONS[name].read(typed, named[name])
    own = {name: values.pop(name) for name in LISTENERS if name in values}
    return Settings(ListenerOptions(**own).listeners(named), **values, named=named)


def _unknown(name: str, known: Iterable[str]) -> TypeError:
    return TypeError(
        f"there is no setting {name!r}{suggest(name, known)}: an option's name in camelCase is one,"
        " idleTimeout for --idle-timeout"
    )
