"""SIGTERM and SIGINT."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning

from tcplab.server import signals as module
from tcplab.server.signals import StopSignals
from tests.support.log_capture import Logged


class FakeReactor:
    """What a reactor has to do with signals."""

    def __init__(self) -> None:
        self.running = True
        self.calls: list[Callable[[], object]] = []
        self.now = 1000.0

    def seconds(self) -> float:
        return self.now

    def sigTerm(self, number: int, frame: object) -> None: ...

    def sigInt(self, number: int, frame: object) -> None: ...

    def stop(self) -> None:
        if not self.running:
            raise ReactorNotRunning
        self.running = False

    def callFromThread(self, function: Callable[..., object], *args: object) -> None:
        self.calls.append(lambda: function(*args))


class Case(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = FakeReactor()
        self.aborted: list[bool] = []
        self.restarted: list[str] = []

    def signals(self, restarts: bool = False) -> StopSignals:
        again = (lambda: self.restarted.append("restarted")) if restarts else None
        abort = lambda: self.aborted.append(self.reactor.running)  # noqa: E731
        return StopSignals(self.reactor, abort, again)

    def handle(self, number: signal.Signals, handler: Any) -> None:
        """Set a handler until the end of the test."""
        self.addCleanup(signal.signal, number, signal.getsignal(number))
        signal.signal(number, handler)


class InstallTests(Case):
    def test_handlers(self) -> None:
        """They replace the reactor's own, and none that others have set."""
        for other in (self.reactor.sigInt, signal.SIG_IGN):
            self.handle(signal.SIGTERM, self.reactor.sigTerm)
            self.handle(signal.SIGINT, other)
            signals = self.signals()
            signals.install()
            self.assertEqual(signal.getsignal(signal.SIGTERM), signals._received)
            expected = other if other is signal.SIG_IGN else signals._received
            self.assertEqual(signal.getsignal(signal.SIGINT), expected)

    def test_received(self) -> None:
        """A signal only wakes the reactor, which stops in its own turn."""
        self.handle(signal.SIGTERM, self.reactor.sigTerm)
        self.signals().install()
        signal.raise_signal(signal.SIGTERM)
        self.assertTrue(self.reactor.running)
        [call] = self.reactor.calls
        call()
        self.assertFalse(self.reactor.running)


class RestartTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.handle(signal.SIGHUP, signal.SIG_DFL)

    def install(self, terminal: bool = False, restarts: bool = True) -> StopSignals:
        self.terminal = terminal
        self.patch(module, "_onTerminal", lambda: self.terminal)
        signals = self.signals(restarts)
        signals.install()
        return signals

    def test_SIGHUP(self) -> None:
        """It restarts, on a terminal too."""
        for terminal in (False, True):
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            self.install(terminal)
            signal.raise_signal(signal.SIGHUP)
            self.assertEqual(self.restarted, [])
            self.reactor.calls.pop()()
            self.assertEqual(self.restarted.pop(), "restarted")
        self.assertTrue(self.reactor.running)

    def test_SIGUSR1(self) -> None:
        """It opens the log's files again, and never ends the process."""
        self.handle(signal.SIGUSR1, signal.SIG_DFL)
        reopened: list[int] = []
        StopSignals(self.reactor, list, None, lambda: reopened.append(1)).install()
        signal.raise_signal(signal.SIGUSR1)
        self.reactor.calls.pop()()
        self.assertEqual((reopened, self.reactor.running), ([1], True))

    def test_terminalGone(self) -> None:
        """SIGHUP means the end then."""
        signals = self.install(terminal=True)
        self.terminal = False
        signals.stop("SIGHUP")
        self.assertEqual(self.restarted, [])
        self.assertFalse(self.reactor.running)

    def test_leftAlone(self) -> None:
        """Where nothing restarts, and where it is ignored."""
        for restarts, handler in ((False, signal.SIG_DFL), (True, signal.SIG_IGN)):
            signal.signal(signal.SIGHUP, handler)
            self.install(restarts=restarts)
            self.assertIs(signal.getsignal(signal.SIGHUP), handler)

    def test_terminal(self) -> None:
        self.assertIn(module._onTerminal(), (False, True))


class StopTests(Case):
    def test_second(self) -> None:
        """The first signal stops the reactor, the next aborts."""
        signals = self.signals()
        signals.stop("SIGTERM")
        self.assertEqual((self.reactor.running, self.aborted), (False, []))
        signals.stop("SIGINT")
        self.assertEqual(self.aborted, [False])
        self.assertEqual(
            self.lines(),
            ["Received SIGTERM, shutting down.", "Received SIGINT again, ending at once."],
        )

    def test_twiceAtOnce(self) -> None:
        """The same is one: timeout(1) signals its child and then the whole group."""
        signals = self.signals()
        signals.stop("SIGTERM")
        self.reactor.now += 0.06
        signals.stop("SIGTERM")
        self.assertEqual((self.aborted, len(self.lines())), ([], 1))
        self.reactor.now += 0.06
        signals.stop("SIGTERM")
        self.assertEqual(len(self.aborted), 1)
