"""SIGTERM and SIGINT."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.trial.unittest import SynchronousTestCase

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


class Installing(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.aborted: list[str] = []
        self.signals = StopSignals(self.reactor, lambda: self.aborted.append("aborted"))

    def handle(self, number: signal.Signals, handler: Any) -> None:
        self.addCleanup(signal.signal, number, signal.getsignal(number))
        signal.signal(number, handler)

    def test_takes_the_place_of_the_reactors_own(self) -> None:
        self.handle(signal.SIGTERM, self.reactor.sigTerm)
        self.handle(signal.SIGINT, self.reactor.sigInt)
        self.signals.install()
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(signal.getsignal(number), self.signals._received)

    def test_leaves_what_others_have_set(self) -> None:
        self.handle(signal.SIGTERM, self.reactor.sigTerm)
        self.handle(signal.SIGINT, signal.SIG_IGN)
        self.signals.install()
        self.assertEqual(signal.getsignal(signal.SIGINT), signal.SIG_IGN)

    def test_signal_only_wakes_the_reactor(self) -> None:
        self.handle(signal.SIGTERM, self.reactor.sigTerm)
        self.signals.install()
        signal.raise_signal(signal.SIGTERM)
        self.assertTrue(self.reactor.running)
        [call] = self.reactor.calls
        call()
        self.assertFalse(self.reactor.running)


class Restarting(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.reactor = FakeReactor()
        self.restarted: list[str] = []

    def install(self, terminal: bool = False, restart: bool = True) -> StopSignals:
        self.terminal = terminal
        self.patch(module, "_onTerminal", lambda: self.terminal)
        again = (lambda: self.restarted.append("restarted")) if restart else None
        signals = StopSignals(self.reactor, lambda: None, again)
        signals.install()
        return signals

    def hangUp(self, **settings: bool) -> None:
        self.install(**settings)
        signal.raise_signal(signal.SIGHUP)
        [call] = self.reactor.calls
        self.assertEqual(self.restarted, [])
        call()

    def test_SIGHUP_restarts(self) -> None:
        for terminal in (False, True):
            self.reactor.calls.clear()
            self.restarted.clear()
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            self.hangUp(terminal=terminal)
            self.assertEqual(self.restarted, ["restarted"])
        self.assertTrue(self.reactor.running)

    def test_it_means_the_end_when_the_terminal_is_gone(self) -> None:
        signals = self.install(terminal=True)
        self.terminal = False
        signals.stop("SIGHUP")
        self.assertEqual(self.restarted, [])
        self.assertFalse(self.reactor.running)

    def test_it_is_left_alone_where_nothing_restarts(self) -> None:
        self.install(restart=False)
        self.assertIs(signal.getsignal(signal.SIGHUP), signal.SIG_DFL)

    def test_it_stays_ignored(self) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.install()
        self.assertIs(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)

    def test_terminal(self) -> None:
        self.assertIn(module._onTerminal(), (False, True))


class Stopping(Logged):
    def test_first_stops_the_reactor_and_the_next_aborts(self) -> None:
        reactor, aborted = FakeReactor(), []
        signals = StopSignals(reactor, lambda: aborted.append(reactor.running))
        signals.stop("SIGTERM")
        self.assertFalse(reactor.running)
        self.assertEqual(aborted, [])
        signals.stop("SIGINT")
        self.assertEqual(aborted, [False])
        self.assertEqual(
            self.lines(),
            ["Received SIGTERM, shutting down.", "Received SIGINT again, ending at once."],
        )

    def test_the_same_twice_at_once_is_one(self) -> None:
        """As from timeout(1), which signals its child and then the whole group."""
        reactor, aborted = FakeReactor(), []
        signals = StopSignals(reactor, lambda: aborted.append("aborted"))
        signals.stop("SIGTERM")
        reactor.now += 0.06
        signals.stop("SIGTERM")
        self.assertEqual((aborted, self.lines()), ([], ["Received SIGTERM, shutting down."]))
        reactor.now += 0.06
        signals.stop("SIGTERM")
        self.assertEqual(aborted, ["aborted"])
