"""Tests for `tcplab.tap`."""

from __future__ import annotations

import io
import os
import re
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import twisted.internet
import twisted.internet.reactor
from twisted.application.service import IServiceMaker
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, textFileLogObserver
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from tcplab import __version__, tap
from tcplab.config.errors import SettingsError
from tcplab.config.optionparsers import NONE
from tcplab.config.options import OPTIONS, SETTINGS, Settings, fromWords
from tcplab.config.sources import Given
from tcplab.observers import Observers
from tcplab.protocols import Conversation
from tcplab.reactor import clock, eager
from tcplab.server.drain import Drained
from tcplab.server.service import LabService
from tcplab.wire.names import BEHAVIOURS
from tcplab.workers.supervisor import Supervisor
from tests.support.log_capture import Logged
from tests.support.tiers import processes

_IMPORTED = """
import sys
from tcplab import tap
options = tap.Options()
options.parseOptions(["--port", "0"])
lab = tap.makeService(options)
print(sorted(name for name in sys.modules if name.startswith("tcplab.")))
"""


class Making(SynchronousTestCase):
    def make(self, *descriptors: int, **words: Any) -> LabService:
        self.patch(tap, "listenFDs", lambda: list(descriptors))
        self.reactor = MemoryReactorClock()
        return tap.makeLab(Given(words, fromWords(**words)), self.reactor, Observers())

    def test_processes(self) -> None:
        self.assertIs(type(self.make()), LabService)
        lab: Any = self.make(workers="2")
        self.assertIsInstance(lab, Supervisor)
        self.assertEqual(lab._spawner._words, {"workers": "2"})

    def test_inheritedSocketIsAdopted(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            descriptor = os.dup(found.fileno())
            lab = self.make(descriptor, port="0")
            self.successResultOf(lab.listen())
            port: Any = lab.listeners[0].port
            self.assertEqual(port.fileno(), descriptor)
            self.assertEqual(self.reactor.tcpServers, [])
            port.connectionLost(None)

    def test_inheritedSocketsDoNotFit(self) -> None:
        problem = self.assertRaises(SettingsError, self.make, 90, 91)
        self.assertIn("LISTEN_FDS=2, and there are 1 listeners: hand over", str(problem))
        serve = ["echo@systemd:domain=INET:index=7"]
        problem = self.assertRaises(SettingsError, self.make, 90, 91, serve=serve)
        self.assertIn("systemd has handed over no such socket", str(problem))

    @processes
    def test_whatIsNotAskedForIsNotImported(self) -> None:
        words = [sys.executable, "-c", _IMPORTED]
        imported = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        self.assertIn("tcplab.server.service", imported)
        for package in ("client", "testing", "workers"):
            self.assertNotIn(f"'tcplab.{package}", imported)


def parsed(*words: str) -> Settings:
    options = tap.Options()
    options.parseOptions(list(words))
    return options.given.settings


class ReactorChoice(SynchronousTestCase):
    """Which reactor runs the lab."""

    def chosen(self) -> str:
        chosen = ["Twisted's"]
        for each in (eager, clock):
            self.patch(each, "install", lambda each=each: chosen.append(each.__name__))
        parsed()
        return chosen[-1]

    def test_which(self) -> None:
        self.assertEqual(self.chosen(), "Twisted's")  # it is installed already
        self.patch(sys, "modules", {**sys.modules})
        del sys.modules["twisted.internet.reactor"]
        self.assertEqual(self.chosen(), "tcplab.reactor.eager")
        self.patch(select, "epoll", None)
        del select.epoll
        self.addCleanup(setattr, select, "epoll", None)
        self.assertEqual(self.chosen(), "tcplab.reactor.clock")


class Refusing(SynchronousTestCase):
    def refused(self, *words: str, by: Any = parsed) -> str:
        """Return the line on stderr; the status is 2."""
        self.patch(sys, "stderr", io.StringIO())
        self.assertEqual(self.assertRaises(SystemExit, by, *words).code, 2)
        problem = sys.stderr.getvalue()
        self.assertTrue(problem.startswith("tcplab: "), problem)
        self.assertEqual(len(problem.splitlines()), 1, problem)
        return problem


class Words(Refusing):
    def test_each_option_becomes_a_setting(self) -> None:
        """The words are handed to `fromWords` by the names of the settings."""
        words = {
            **{
                name: "none" if name.endswith("Timeout") else "3"
                for name, option in OPTIONS.items()
                if not option.repeatable
            },
            **{"interface": "::1", "behaviour": "ack", "lingerTimeout": "4", "proxyProtocol": "v1"},
            **{"serve": ["lab@tcp:2", "lab@tcp:3"], "proxyFrom": ["unix", "10.0.0.1"]},
            **{
                "logFormat": "json",
                "faults": ["stall,probability=0.5"],
                "maxPerPeer": "2",
                "workers": "1",
            },
        }
        typed = [
            f"{OPTIONS[name].flag}={each}"
            for name, value in words.items()
            for each in (value if isinstance(value, list) else [value])
        ]
        settings = parsed(*typed)
        self.assertEqual(settings, fromWords(**words))
        self.assertEqual([each.name for each in settings.listeners], ["ack", "lab", "lab-2"])

    def test_otherSpellings(self) -> None:
        words = ("-p", "1", "-i", "::1", "-b", "ack", "-s", "lab@tcp:2", "-g", "hi")
        long = ("--port=1", "--interface=::1", "--behaviour=ack", "--serve=lab@tcp:2")
        self.assertEqual(parsed(*words), parsed(*long, "--greeting=hi"))
        for words in (("--behavior", "echo"), ("--behavior=echo",), ("--behav=echo",)):
            self.assertEqual(parsed(*words).listeners[0].name, "echo")

    def test_synonyms(self) -> None:
        """Each leads to an option."""
        flags = {option.flag for option in OPTIONS.values()}
        self.assertLessEqual(set(tap._SYNONYMS.values()), flags)

    def test_mistakes(self) -> None:
        for words, *says in (
            ("--prot 1", "did you mean --port?", "(see twistd tcplab --help)"),
            ("-n", "-n not recognized: it belongs to twistd, as in twistd -n tcplab"),
            ("-x", "option -x not recognized (see"),
            ("--host 0.0.0.0", "did you mean --interface?"),
            ("--port", "--port requires argument"),
            ("echo", "'echo' belongs to no option: write -b echo"),
            ("8888", "write -p 8888"),
            ("echo@tcp:1", "write -s echo@tcp:1"),
            ("--port http", "--port http"),
            ("--idle-timeout 0", "or none for no limit"),
        ):
            problem = self.refused(*words.split())
            for each in says:
                self.assertIn(each, problem)
        self.assertIn("--interface a b", self.refused("--interface", "a\nb"))  # in one line


class Texts(SynchronousTestCase):
    def printed(self, *words: str) -> str:
        output = io.StringIO()
        self.patch(sys, "stdout", output)
        self.assertIn(self.assertRaises(SystemExit, parsed, *words).code, (None, 0))
        return output.getvalue()

    def test_version_is_ours(self) -> None:
        self.assertEqual(self.printed("--version"), f"tcplab {__version__}\n")

    def test_serve(self) -> None:
        """Started by tcplab serve, the texts name that."""
        self.patch(sys, "argv", ["tcplab serve", "-n", "tcplab"])
        self.assertTrue(self.printed("--help").startswith("Usage: tcplab serve [options]\n"))
        self.patch(sys, "stderr", io.StringIO())
        self.assertRaises(SystemExit, parsed, "-x")
        self.assertIn("(see tcplab serve --help)", sys.stderr.getvalue())

    def test_help_names_every_option_and_every_behaviour(self) -> None:
        text = self.printed("--help")
        for each in OPTIONS.values():
            self.assertIn(f"{each.flag}=", text)
        for name in BEHAVIOURS:
            self.assertIn(name, text)
        self.assertLess(max(map(len, text.splitlines())), 81)
        self.assertLess(len(text.splitlines()), 58)  # a screen

    def test_help_says_the_defaults(self) -> None:
        for each in OPTIONS.values():
            found = re.search(r"\[(\w+)\]", each.text)
            if found and each.name in SETTINGS and each.name != "lingerTimeout":
                usual = NONE if each.default is None else f"{each.default}".removesuffix(".0")
                self.assertEqual(found[1], usual)
        linger = f"[{Conversation.lingerTimeout:g}]"
        self.assertIn(linger, OPTIONS["lingerTimeout"].text)

    def test_the_plugin_leads_here(self) -> None:
        [plugin] = [each for each in getPlugins(IServiceMaker) if each.tapname == "tcplab"]
        self.assertIs(plugin.options, tap.Options)
        self.assertIs(plugin.makeService, tap.makeService)


class PidFile(SynchronousTestCase):
    """twistd's own options, as they are when it calls ours."""

    def pidFile(self, *words: str) -> str:
        from twisted.scripts.twistd import ServerOptions

        options = ServerOptions()
        options.parseOptions([*words, "tcplab"])
        return str(options["pidfile"])

    def test_where(self) -> None:
        self.assertEqual(self.pidFile("-n"), "")
        self.assertEqual(self.pidFile(), os.path.abspath("twistd.pid"))
        # Typed: another object than twistd's default, even if it reads the same.
        for name in ("my.pid", "".join(["twistd", ".pid"])):
            self.assertEqual(self.pidFile("-n", "--pidfile", name), os.path.abspath(name))


class RecordingReactor(MemoryReactorClock):
    """A reactor in memory that is told to start and to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.iterated = self.stopped = 0
        self.sigTerm = self.sigInt = object()

    def callWhenRunning(self, function: Callable[..., Any], *args: object) -> None:
        if self.running:  # Twisted 25.5 keeps it for the next start
            function(*args)
        else:
            super().callWhenRunning(function, *args)

    def iterate(self, delay: float = 0) -> None:
        self.iterated += 1

    def stop(self) -> None:
        self.stopped += 1
        for function, args, kwargs in self.triggers["after"]["shutdown"]:
            function(*args, **kwargs)

    def start(self) -> None:
        self.running = True
        for function, args, kwargs in self.whenRunningHooks:
            function(*args, **kwargs)


class MakeService(Logged, Refusing):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = RecordingReactor()
        self.patch(twisted.internet, "reactor", self.reactor)
        self.statuses: list[int] = []
        self.patch(tap, "exitWith", self.statuses.append)
        self.collecting: list[str] = []
        self.patch(tap, "relaxGC", lambda: self.collecting.append("seldom"))
        self.logged: list[Any] = []
        self.patch(tap, "globalLogBeginner", self)
        self.atExit: list[Any] = []
        self.patch(tap.atexit, "register", self.atExit.append)

    def beginLoggingTo(self, observers: Any) -> None:
        self.logged += observers

    def make(self, *words: str) -> LabService:
        options = tap.Options()
        options.parseOptions(list(words))
        return tap.makeService(options)  # type: ignore[return-value]

    def test_onceItRuns(self) -> None:
        """Garbage is collected less often, and signals are the lab's."""
        self.patch(tap.StopSignals, "install", lambda signals: self.collecting.append("signals"))
        self.make("-p", "0")
        self.assertEqual(self.collecting, [])
        self.reactor.start()
        self.assertEqual(sorted(self.collecting), ["seldom", "signals"])

    def listenLater(self) -> Deferred[None]:
        listening: Deferred[None] = Deferred()
        self.patch(LabService, "listen", lambda service: listening)
        return listening

    def test_ports_are_bound_before_it_is_started(self) -> None:
        service = self.make("-p", "7")
        self.assertFalse(service.running)
        [(port, _, backlog, interface)] = self.reactor.tcpServers
        self.assertEqual((port, backlog, interface), (7, 8192, "127.0.0.1"))

    def test_what_cannot_be_made_is_refused(self) -> None:
        self.refused("-b", "ecko", by=self.make)
        self.refused("--port-file", "/no/such/ports", by=self.make)

    def test_port_that_cannot_be_bound_is_refused_and_the_others_closed(self) -> None:
        self.listenLater().errback(tap.SettingsError("port 7 is in use"))
        self.assertEqual(self.refused(by=self.make), "tcplab: port 7 is in use\n")
        self.assertEqual(self.reactor.iterated, 1)

    def test_fault_of_our_own_keeps_its_traceback(self) -> None:
        self.listenLater().errback(ZeroDivisionError())
        self.assertRaises(ZeroDivisionError, self.make)

    def test_portFile(self) -> None:
        """It is written when all listen and the reactor runs, whichever is later."""
        for first in ("reactor", "ports"):
            path = os.path.abspath(self.mktemp())
            self.reactor = RecordingReactor()
            self.patch(twisted.internet, "reactor", self.reactor)
            listening = self.listenLater()
            if first == "ports":
                listening.callback(None)
            service = self.make("--port-file", path)
            service.listeners = []
            if first == "reactor":
                self.reactor.start()
            self.assertFalse(os.path.exists(path))
            if first == "ports":
                self.reactor.start()
            else:
                listening.callback(None)
            self.assertTrue(os.path.exists(path))

    def late(self, problem: BaseException) -> None:
        listening = self.listenLater()
        self.make()
        self.reactor.start()
        listening.errback(problem)

    def test_endpoint_that_fails_later_ends_it_with_status_2(self) -> None:
        self.late(tap.SettingsError("no way"))
        self.assertEqual(self.lines(LogLevel.critical), ["tcplab: no way"])
        self.assertEqual((self.statuses, self.reactor.stopped), ([2], 1))

    def test_fault_of_our_own_later_keeps_its_traceback(self) -> None:
        self.late(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((self.statuses, self.reactor.stopped), ([2], 1))

    def test_stopped_while_it_starts_is_no_failure(self) -> None:
        self.late(CancelledError())
        self.assertEqual((self.statuses, self.reactor.stopped), ([], 0))

    def test_statusAfterADrain(self) -> None:
        for drained, statuses in ((Drained(2, 0), []), (None, []), (Drained(2, 1), [1])):
            service = self.make("-p", "7")
            service.drained = drained
            self.reactor.stop()
            self.assertEqual(self.statuses, statuses)

    def test_log_is_written_by_a_thread_once_it_runs_and_to_the_last_line(self) -> None:
        self.make("-p", "7")
        path = self.mktemp()
        with open(path, "w") as log, open(path) as file:
            observer = textFileLogObserver(log, timeFormat=None)
            tap.globalLogBeginner.beginLoggingTo([observer])
            [logged] = self.logged
            logged({"log_format": "one", "log_system": "-"})
            self.assertEqual(file.read(), "")
            self.reactor.start()
            for each in self.atExit:
                each()
            self.assertEqual(file.read(), "- [-] one\n")
