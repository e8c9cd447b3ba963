"""twistd's plugin: the options of ``twistd tcplab``, and the service that is made of them."""

from __future__ import annotations

import atexit
import os
import re
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, cast

from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from tcplab import __version__
from tcplab.config.environment import unknownVariables
from tcplab.config.errors import SettingsError
from tcplab.config.optionparsers import Option, Words
from tcplab.config.options import OPTIONS, SOURCES, Settings
from tcplab.config.sources import Given, Sources
from tcplab.entrypoints import clashes
from tcplab.listener.events import Observer
from tcplab.observers import LogObserver, Observers
from tcplab.observers.lineformat import FORMATS
from tcplab.observers.logfile import AppendedFile
from tcplab.observers.nonblocking import NonBlockingLog
from tcplab.reactor.clients import useNameResolver
from tcplab.reactor.interfaces import IReactor
from tcplab.server.inheritedsockets import AdoptingReactor, InheritedSockets, listenFDs
from tcplab.server.portfile import PortFile
from tcplab.server.processsetup import (
    exitWith,
    folderIsGone,
    leaveThreads,
    prepareFiles,
    relaxGC,
    restrictLogMode,
)
from tcplab.server.service import LabService
from tcplab.server.signals import StopSignals, withoutWorkers
from tcplab.wire.escaping import printable
from tcplab.wire.names import BEHAVIOURS
from tcplab.wire.suggestion import suggest


def makeLab(
    given: Given,
    reactor: IReactor,
    observers: Observer,
    reread: Callable[[], Given] | None = None,
) -> LabService:
    """
    Make the service of a lab; nothing is bound yet.

    :param given: the settings, and the words they were made of; workers are started with these.
    :param reread: reads them again for a rolling restart.
    :raises SettingsError: it cannot be made.
    """
    words, settings = given
    listening = _adopting(settings, reactor)
    if settings.workers is None:
        return LabService(settings, reactor, observers, listening=listening)
    from tcplab.workers.supervisor import Supervisor

    return Supervisor(settings, reactor, observers, words=words, reread=reread, listening=listening)


def _adopting(settings: Settings, reactor: IReactor) -> AdoptingReactor | None:
    # For inherited sockets, in the order of the listeners. Endpoints systemd: choose their own.
    descriptors = listenFDs()
    if not descriptors or any("systemd:" in each.endpoint for each in settings.listeners):
        return None
    if len(descriptors) != len(settings.listeners):
        raise SettingsError(
            f"LISTEN_FDS={len(descriptors)}, and there are {len(settings.listeners)} listeners:"
            " hand over a socket for each, in their order"
        )
    return AdoptingReactor(reactor, InheritedSockets(descriptors))


log = Logger("tcplab.tap")


#: The exit status for what is refused at the start.
REFUSED = 2


def exitWithError(problem: object) -> NoReturn:
    """
    Exit with one line on stderr and status `REFUSED`, without usage or traceback.

    Control characters are escaped: the text may quote a file, or an exception of a module.

    It is called before anything is bound or forked: no pid file and no process is left behind.
    """
    line = " ".join(str(problem).split("\n"))
    shown = "".join(each if each.isprintable() else printable(each) for each in line)
    print("tcplab:", shown, file=sys.stderr)
    raise SystemExit(REFUSED)


def exitWithRefusal(problem: SettingsError | FileNotFoundError) -> NoReturn:
    """Exit likewise; a path that is relative to a folder that is gone is refused too."""
    if isinstance(problem, FileNotFoundError):
        if not folderIsGone():
            raise problem
        exitWithError("the folder in which it was started is gone: change to another one")
    exitWithError(problem)


# What the process was started as; `tcplab.__main__` sets it.
_SERVE = "tcplab serve"


def _command() -> str:
    """Return the command that was typed, without its options."""
    if sys.argv[0] == _SERVE:
        return _SERVE
    return f"{'twist' if os.path.basename(sys.argv[0]) == 'twist' else 'twistd'} tcplab"


#: What twistd takes before the word ``tcplab``.
_TWISTD_OPTIONS = frozenset(
    (
        *("-n", "--nodaemon", "-l", "--logfile", "--logger", "--pidfile", "--prefix", "--umask"),
        *("-u", "--uid", "--gid", "--euid", "--chroot", "-d", "--rundir", "--reactor", "-r"),
        *("--syslog", "--profile", "--debug", "-y", "--python", "--originalname"),
    )
)


_OPTIONS = {**OPTIONS, **SOURCES}


#: Other words for the options: the hint names the option.
_SYNONYMS = {
    **dict.fromkeys(("host", "bind", "address", "ip"), "--interface"),
    **dict.fromkeys(("listen", "endpoint", "unix", "tls", "ssl", "cert"), "--serve"),
    **dict.fromkeys(("protocol", "mode", "class"), "--behaviour"),
    **dict.fromkeys(("banner", "message", "text"), "--greeting"),
    **dict.fromkeys(("toxic", "delay", "latency", "break", "reset"), "--fault"),
    **dict.fromkeys(("limit", "max", "connections"), "--max-connections"),
    **dict.fromkeys(("timeout", "idle", "keepalive"), "--idle-timeout"),
    **dict.fromkeys(("processes", "threads", "jobs"), "--workers"),
    **dict.fromkeys(("proxy", "haproxy"), "--proxy-protocol"),
    **dict.fromkeys(("grace", "graceful-timeout", "shutdown-timeout"), "--drain-timeout"),
}


class Options(UsageOptions):
    """The options after ``twistd tcplab``, made of those of `tcplab.config.options`."""

    synopsis = "[options]"
    longdesc = (
        f"A SPEC is NAME[,key=value...], as in echo,framing=lines. The names are"
        f" {', '.join(BEHAVIOURS)}, and package.module.Name for a Protocol or a Factory of yours,"
        " found from the current directory. tcplab behaviours lists the keys, tcplab faults the"
        " faults. Without --port, --serve replaces the default port. The word none switches off a"
        " deadline, and --max-per-peer. SIGTERM and SIGINT stop the server gracefully: the status"
        " is 0, or 1 if a connection had to be aborted. A second signal aborts all connections."
        " What is refused at the start has status 2. TCPLAB_PORT and its like in the environment"
        " set options, too."
    )
    optParameters = [
        [each.flag[2:], each.letter, None, each.text]
        for each in _OPTIONS.values()
        if not each.repeatable
    ]

    sources: Sources
    given: Given

    def __init__(self) -> None:
        super().__init__()
        for each in OPTIONS.values():
            if each.repeatable:
                self[each.flag[2:]] = []

    def getSynopsis(self) -> str:
        """Return the first line of ``--help``."""
        return f"Usage: {_SERVE} [options]" if _command() == _SERVE else super().getSynopsis()

    def opt_version(self) -> NoReturn:
        """Show the version and exit."""
        print(f"tcplab {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Read the command line.

        :raises SystemExit: it is wrong; the text is one line.
        """
        try:
            super().parseOptions(
                options and [re.sub("^--behavior(?==|$)", "--behaviour", each) for each in options]
            )
        except UsageError as e:
            exitWithError(f"{e}{self._suggestion(str(e))} (see {_command()} --help)")
        except (SettingsError, FileNotFoundError) as e:
            exitWithRefusal(e)

    def _suggestion(self, problem: str) -> str:
        unknown = re.match("option (-{1,2}\\S+) not recognized", problem)
        if not unknown:
            return ""
        own = [f"--{each.replace('-', '')}" for each in self._long()]
        if unknown[1] in _TWISTD_OPTIONS and unknown[1] not in own:
            return f": it belongs to twistd, as in twistd {unknown[1]} tcplab"
        return suggest(unknown[1], [f"--{each}" for each in self._long()], _SYNONYMS)

    def _long(self) -> list[str]:
        return [name.removesuffix("=") for name in self.longOpt]

    def parseArgs(self, *words: str) -> None:
        """Refuse words that belong to no option."""
        if words:
            option = "-p" if words[0].isdecimal() else "-s" if "@" in words[0] else "-b"
            raise UsageError(f"{words[0]!r} belongs to no option: write {option} {words[0]}")

    def postOptions(self) -> None:
        """Install the reactor, make the settings, and disable an unneeded pid file."""
        _chooseReactor()
        words: dict[str, Words] = {name: self[each.flag[2:]] for name, each in _OPTIONS.items()}
        self.sources = Sources(words, os.environ)
        self.given = self.sources.read()
        if self.parent is not None:
            prepareFiles(self.parent)


def _appender(option: Option) -> Callable[[Options, str], None]:
    # Twisted's parser keeps only the last word of an option, unless a method takes each.
    def method(self: Options, word: str) -> None:
        self[option.flag[2:]].append(word)

    method.__doc__ = option.text
    return method


for _each in OPTIONS.values():
    if _each.repeatable:
        _method = _appender(_each)
        setattr(Options, "opt_" + _each.flag[2:].replace("-", "_"), _method)
        if _each.letter:
            setattr(Options, f"opt_{_each.letter}", _method)


def _chooseReactor() -> None:
    # twistd and twist have acted on --reactor by now. If no reactor is installed yet, ours is.
    if "twisted.internet.reactor" in sys.modules:
        return
    if hasattr(select, "epoll"):
        from tcplab.reactor import eager

        eager.install()
    else:  # on macOS Twisted's choice is select, which serves 1,024 descriptors
        from tcplab.reactor import clock

        clock.install()


def makeService(options: Options) -> IService:
    """
    Make the lab and bind its ports.

    :raises SystemExit: the settings are wrong, or a port cannot be bound; the text is one line.
    """
    from twisted.internet import reactor as installed

    reactor = cast("IReactor", installed)
    settings = options.given.settings
    restrictLogMode(options.parent or {})
    try:
        service = makeLab(
            options.given, reactor, Observers(LogObserver(reactor)), options.sources.read
        )
        ports = None if settings.portFile is None else PortFile(settings.portFile)
        if ports is not None:
            ports.prepare()
        file = _logFile(settings, options.parent or {})
    except (SettingsError, FileNotFoundError) as e:
        exitWithRefusal(e)
    _warn()
    restart = service.restart or withoutWorkers
    signals = StopSignals(reactor, service.abort, restart, lambda: lines.reopen())
    reactor.callWhenRunning(signals.install)
    reactor.callWhenRunning(relaxGC)
    _begin(service, ports, reactor)
    # twistd and twist begin to log once the service is made.
    lines = NonBlockingLog(globalLogBeginner, FORMATS[settings.logFormat], file)
    reactor.callWhenRunning(lines.begin)  # twistd has forked by then
    _atEnd(service, lines, reactor)
    return service


def _atEnd(service: LabService, lines: NonBlockingLog, reactor: IReactor) -> None:
    def leave() -> None:
        lines.finish()
        os._exit(_statusOf(service))

    atexit.register(lines.finish)
    reactor.addSystemEventTrigger("after", "shutdown", _tellStatus, service)
    leaveThreads(reactor, leave)


def _warn() -> None:
    # Of what changes nothing, though it looks as if it did.
    for line in [*clashes(), *unknownVariables(os.environ, _OPTIONS)]:
        log.warn("{line}", line=line, log_system="tcplab")


def _logFile(settings: Settings, twistd: Mapping[str, object]) -> AppendedFile | None:
    path = settings.logFile
    if settings.logFormat == "json" and twistd.get("syslog"):
        raise SettingsError("--log-format json: twistd's --syslog has text only: use --log-file")
    if path is None:
        return None
    if twistd.get("logfile"):
        raise SettingsError("--log-file replaces twistd's --logfile: give one of them")
    try:
        return AppendedFile(path)
    except OSError as e:
        raise SettingsError(
            f"--log-file {path} cannot be opened: {e.strerror}: name a file that may be written"
        ) from None


def _begin(service: LabService, ports: PortFile | None, reactor: IReactor) -> None:
    # Bind now, so that a port in use ends the start with one line; some endpoints bind later.
    useNameResolver(reactor)
    failures: list[Failure] = []
    starting = Deferred.fromCoroutine(_start(service, ports, reactor)).addErrback(failures.append)
    if failures:
        reactor.iterate(0)  # the ports that did listen close, and Unix sockets are removed
        if not failures[0].check(SettingsError):
            failures[0].raiseException()
        exitWithError(failures[0].value)
    starting.addCallback(_later, failures, reactor)


async def _start(service: LabService, ports: PortFile | None, reactor: IReactorCore) -> None:
    await service.listen()
    await service.whenServing()
    if ports is not None:
        # The program that reads the file may send a signal at once.
        running: Deferred[None] = Deferred()
        reactor.callWhenRunning(running.callback, None)
        await running
        ports.write(service.listeners)


def _tellStatus(service: LabService) -> None:
    if status := _statusOf(service):
        exitWith(status)


def _statusOf(service: LabService) -> int:
    return int(service.drained is not None and service.drained.aborted > 0)


def _later(_: object, failures: list[Failure], reactor: IReactorCore) -> None:
    # After makeService: an endpoint that binds later has failed, or the port file.
    for failure in failures:
        _fail(failure, reactor)


def _fail(failure: Failure, reactor: IReactorCore) -> None:
    if failure.check(CancelledError):
        return  # stopped while it was starting
    if failure.check(SettingsError):
        log.critical("tcplab: {problem}", problem=str(failure.value), log_system="tcplab")
    else:
        log.failure("tcplab could not start", failure)
    reactor.addSystemEventTrigger("after", "shutdown", exitWith, REFUSED)
    reactor.callWhenRunning(reactor.stop)
