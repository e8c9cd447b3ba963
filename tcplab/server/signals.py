"""SIGTERM, SIGINT: the first drains, the next aborts. SIGHUP and SIGUSR1: workers and log anew."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

from tcplab.reactor.interfaces import IReactor

log = Logger("tcplab.server.signals")

# Seconds in which the same signal counts once. Programs that end a group of processes, timeout(1)
# say, send it to the process and then to its group.
_DEBOUNCE = 0.1


def _onTerminal() -> bool:
    """Return whether this process has a controlling terminal (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def withoutWorkers() -> None:
    """Log that SIGHUP changes nothing: this process serves alone."""
    log.warn("SIGHUP: there are no workers to restart: start with --workers", log_system="tcplab")


class StopSignals:
    """
    Stop the reactor upon a signal.

    Twisted's own handlers end the process by that signal again, after an orderly shutdown. Its exit
    status would be 143, which looks like a crash.

    :param reactor: is stopped, and waits for its services.
    :param abort: called for every further signal: aborts what is still open.
    :param restart: called for SIGHUP; without it that signal is left as it is.
    :param reopen: called for SIGUSR1; without it that signal is left as it is.
    """

    def __init__(
        self,
        reactor: IReactor,
        abort: Callable[[], object],
        restart: Callable[[], object] | None = None,
        reopen: Callable[[], object] | None = None,
    ) -> None:
        self._reactor = reactor
        self._abort = abort
        self._restart = restart
        self._reopen = reopen
        self._onTerminal = False
        self._first = "", 0.0  # the signal that stopped it, and when

    def install(self) -> None:
        """
        Replace the reactor's handlers; to be called when it runs.

        Other handlers stay, and so does a signal that was ignored when the process started.
        """
        own = {signal.SIGTERM: self._reactor.sigTerm, signal.SIGINT: self._reactor.sigInt}
        for number, handler in own.items():
            if signal.getsignal(number) == handler:
                signal.signal(number, self._received)
        if self._restart is not None and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
            self._onTerminal = _onTerminal()
            signal.signal(signal.SIGHUP, self._received)
        if self._reopen is not None:
            signal.signal(signal.SIGUSR1, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        # This runs between any two bytecodes of the main thread: only wake the reactor.
        self._reactor.callFromThread(self.stop, signal.Signals(number).name)

    def stop(self, name: str) -> None:
        """Act on the signal of this name."""
        if name == "SIGUSR1" and self._reopen is not None:
            self._reopen()
            return
        if name == "SIGHUP" and self._restart is not None and not self._terminalClosed():
            self._restart()
            return
        first, when = self._first
        now = self._reactor.seconds()
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            if name == first and 0 <= now - when < _DEBOUNCE:
                return
            log.info("Received {name} again, ending at once.", log_system="tcplab", name=name)
            self._abort()
        else:
            self._first = name, now
            log.info("Received {name}, shutting down.", log_system="tcplab", name=name)

    def _terminalClosed(self) -> bool:
        # Then the kernel has sent the signal, and not a person.
        return self._onTerminal and not _onTerminal()
