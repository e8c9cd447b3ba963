"""twistd's words: the options of ``twistd tcplab``, and the service they ask for."""

from __future__ import annotations

import atexit
import re
import select
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from tcplab import __version__
from tcplab.config.errors import SettingsError, suggest
from tcplab.config.options import AMOUNTS
from tcplab.config.settings import Settings, fromWords
from tcplab.listener.events import Observer
from tcplab.observers import LogObserver, Observers
from tcplab.observers.nonblocking import NonBlockingLog
from tcplab.server import portfile
from tcplab.server.inheritedsockets import InheritedSockets, listenFDs
from tcplab.server.processsetup import disablePidFile, exitWith, relaxGC, restrictLogMode
from tcplab.server.service import LabService
from tcplab.server.signals import StopSignals
from tcplab.wire.names import BEHAVIOURS


def makeLab(
    settings: Settings, words: Mapping[str, Any], reactor: Any, observers: Observer
) -> LabService:
    """
    Make it; nothing is bound yet.

    :param words: what the settings were made of.
    :raises SettingsError: it cannot be made.
    """
    listening = _adopting(settings, reactor)
    if settings.workers is None:
        return LabService(settings, reactor, observers, listening=listening)
    from tcplab.workers.supervisor import Supervisor

    return Supervisor(settings, reactor, observers, words=words, listening=listening)


def _adopting(settings: Settings, reactor: Any) -> Any:
    # Sockets that listen already, in the order of the listeners; endpoints systemd: choose theirs.
    descriptors = listenFDs()
    if not descriptors or any("systemd:" in each.endpoint for each in settings.listeners):
        return None
    if len(descriptors) != len(settings.listeners):
        raise SettingsError(
            f"LISTEN_FDS={len(descriptors)}, and there are {len(settings.listeners)} listeners:"
            " hand over a socket for each, in their order"
        )
    from tcplab.server.inheritedsockets import AdoptingReactor

    return AdoptingReactor(reactor, InheritedSockets(descriptors))


log = Logger("tcplab.tap")


def exitWithError(problem: object) -> NoReturn:
    """
    End with one line on stderr and status 1: no page of usage, no traceback.

    Before anything is bound or forked, so that no pid file and no process is left behind.
    """
    raise SystemExit("tcplab: " + " ".join(str(problem).split("\n")))


class Options(UsageOptions):
    """What may be said after ``twistd tcplab``."""

    synopsis = "[options]"
    longdesc = (
        f"A SPEC is NAME[,key=value...]. The names: {', '.join(BEHAVIOURS)}, or package.module.Name"
        " for a Protocol or a Factory of yours, found from where twistd was started. The keys are"
        " its settings, as in echo,framing=lines. Without --port, --serve replaces the default"
        " port. The word none switches a deadline off, and --max-per-peer. SIGTERM and SIGINT end"
        " it politely, with status 0, or 1 if a connection had to be aborted; a second one ends it"
        " at once."
    )
    optParameters = [
        ["port", "p", None, "Serve on this TCP port [50544]; 0 lets the system choose."],
        [
            "interface",
            "i",
            None,
            "Where --port listens [127.0.0.1]; 0.0.0.0 or :: opens it to others.",
        ],
        ["behaviour", "b", None, "The SPEC of what --port serves [lab]."],
        [
            "greeting",
            "g",
            None,
            r"What behaviours that speak first say (\n, \r, \t, \\, \xNN understood).",
        ],
        ["seed", None, None, "For faults that roll dice: repeats every roll [chosen, and logged]."],
        [
            "max-connections",
            None,
            None,
            "Above this many, who connects waits in the backlog [what the file descriptors allow].",
        ],
        ["max-per-peer", None, None, "Above this many, a peer is told: busy [none]."],
        ["idle-timeout", None, None, "Seconds in which neither side says anything [none]."],
        ["handshake-timeout", None, None, "Seconds for a PROXY header, and a TLS handshake [5]."],
        [
            "write-timeout",
            None,
            None,
            "Seconds in which a peer reads nothing of what waits for it [30].",
        ],
        ["linger-timeout", None, None, "Seconds a peer has to finish after we have [2]."],
        ["drain-delay", None, None, "Seconds to go on accepting after SIGTERM [0]."],
        [
            "drain-timeout",
            None,
            None,
            "Seconds to finish in when it ends; the rest is aborted [15].",
        ],
        ["workers", None, None, "Processes that share the ports [none]."],
        [
            "proxy-protocol",
            None,
            None,
            "Expect a PROXY header first: v1, v2 or any.",
        ],
        [
            "port-file",
            None,
            None,
            "Written at once when all ports listen: a line each, NAME HOST PORT or NAME unix PATH.",
        ],
    ]

    settings: Settings
    words: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self["fault"] = []
        self["serve"] = []
        self["proxy-from"] = []

    def opt_serve(self, words: str) -> None:
        """SPEC@ENDPOINT: serve on any Twisted endpoint, as in echo@tcp:8888; repeatable."""
        self["serve"].append(words)

    opt_s = opt_serve

    def opt_proxy_from(self, network: str) -> None:
        """Believe proxies from here, as in 10.0.0.0/8; repeatable."""
        self["proxy-from"].append(network)

    def opt_fault(self, words: str) -> None:
        """KIND[,key=value...][@LISTENER]: break it on purpose: latency,latency=100; repeatable."""
        self["fault"].append(words)

    def opt_version(self) -> NoReturn:
        """Show the version and exit."""
        print(f"tcplab {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Read the words.

        :raises SystemExit: they are wrong; its text is one line.
        """
        try:
            super().parseOptions(
                None if options is None else [_suggestion(each) for each in options]
            )
        except UsageError as e:
            exitWithError(f"{e}{self._near(str(e))} (see twistd tcplab --help)")
        except SettingsError as e:
            exitWithError(e)

    def _near(self, problem: str) -> str:
        unknown = re.match("option --(\\S+) not recognized", problem)
        return suggest(f"--{unknown[1]}", [f"--{each}" for each in self._long()]) if unknown else ""

    def _long(self) -> list[str]:
        return [name.removesuffix("=") for name in self.longOpt]

    def parseArgs(self, *words: str) -> None:
        """Take no words but options."""
        if words:
            raise UsageError(
                f"{words[0]!r} belongs to no option: use -b or -s to say what to serve"
            )

    def postOptions(self) -> None:
        """Choose the reactor, make the settings, leave out the pid file where nobody needs it."""
        _chooseReactor()
        self.words = {
            "port": self["port"],
            "interface": self["interface"],
            "behaviour": self["behaviour"],
            "serve": self["serve"],
            "greeting": self["greeting"],
            "portFile": self["port-file"],
            "faults": self["fault"],
            "seed": self["seed"],
            "proxyProtocol": self["proxy-protocol"],
            "proxyFrom": self["proxy-from"],
            **{amount.name: self[amount.option[2:]] for amount in AMOUNTS.values()},
        }
        self.settings = fromWords(**self.words)
        if self.parent is not None:
            disablePidFile(self.parent)


def _chooseReactor() -> None:
    # twistd and twist have acted on --reactor by now: where there is none yet, it is ours.
    if "twisted.internet.reactor" not in sys.modules and hasattr(select, "epoll"):
        from tcplab.reactor import eager

        eager.install()


def _suggestion(word: str) -> str:
    return re.sub("^--behavior(?==|$)", "--behaviour", word)


def makeService(options: Options) -> IService:
    """
    Make the lab and bind its ports.

    :raises SystemExit: it cannot; its text is one line.
    """
    from twisted.internet import reactor

    settings = options.settings
    restrictLogMode(options.parent or {})
    try:
        service = makeLab(settings, options.words, reactor, Observers(LogObserver(reactor)))
        if settings.portFile is not None:
            portfile.prepare(settings.portFile)
    except SettingsError as e:
        exitWithError(e)
    signals = StopSignals(reactor, service.abort, getattr(service, "restart", None))
    reactor.callWhenRunning(signals.install)
    reactor.callWhenRunning(relaxGC)
    reactor.addSystemEventTrigger("after", "shutdown", _tellStatus, service)
    failures: list[Failure] = []
    starting = Deferred.fromCoroutine(_start(service, settings, reactor)).addErrback(
        failures.append
    )
    if failures:
        reactor.iterate(0)  # the ports that did listen close, and Unix sockets are removed
        if not failures[0].check(SettingsError):
            failures[0].raiseException()
        exitWithError(failures[0].value)
    starting.addCallback(_later, failures, reactor)
    _makeLogNonBlocking(reactor)
    return service


def _makeLogNonBlocking(reactor: Any) -> None:
    # twistd and twist begin to log when the service is made.
    lines = NonBlockingLog(globalLogBeginner)
    atexit.register(lines.finish)
    reactor.callWhenRunning(lines.begin)  # twistd has forked by then


async def _start(service: LabService, settings: Settings, reactor: Any) -> None:
    await service.listen()
    await service.whenServing()
    if settings.portFile is not None:
        # Whoever reads it may send a signal at once.
        running: Deferred[None] = Deferred()
        reactor.callWhenRunning(running.callback, None)
        await running
        portfile.write(settings.portFile, service.servings)


def _tellStatus(service: LabService) -> None:
    if service.drained is not None and service.drained.aborted:
        exitWith(1)


def _later(_: object, failures: list[Failure], reactor: Any) -> None:
    # After makeService: an endpoint that takes its time has failed, or the port file has.
    for failure in failures:
        _fail(failure, reactor)


def _fail(failure: Failure, reactor: Any) -> None:
    if failure.check(CancelledError):
        return  # stopped while it was starting
    if failure.check(SettingsError):
        log.critical("tcplab: {problem}", problem=str(failure.value), log_system="tcplab")
    else:
        log.failure("tcplab could not start", failure)
    reactor.addSystemEventTrigger("after", "shutdown", exitWith, 1)
    reactor.callWhenRunning(reactor.stop)
