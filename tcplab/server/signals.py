"""SIGTERM and SIGINT: the first ends the lab politely, the next at once. SIGHUP restarts it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

log = Logger()

# Seconds in which the same signal counts once: timeout(1), and others that end a whole group of
# processes, send it to the process and to its group.
_DEBOUNCE = 0.1


def _onTerminal() -> bool:
    """Tell whether this process has a controlling terminal (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


class StopSignals:
    """
    Stop the reactor upon a signal.

    Twisted's own handlers would end the process by that very signal again, after all has been
    closed in good order: exit status 143, which looks like a crash to whoever started it.

    :param reactor: is stopped, and waits for its services.
    :param abort: called for every further signal: what is still open should end now.
    :param restart: called for SIGHUP; without it that signal is left as it is.
    """

    def __init__(
        self,
        reactor: Any,
        abort: Callable[[], object],
        restart: Callable[[], object] | None = None,
    ) -> None:
        self._reactor = reactor
        self._abort = abort
        self._restart = restart
        self._onTerminal = False
        self._first = "", 0.0  # the signal that stopped it, and when

    def install(self) -> None:
        """
        Take the place of the reactor's handlers; to be called when it runs.

        Handlers of others stay, and so does a signal that was ignored when the process started.
        """
        own = {signal.SIGTERM: self._reactor.sigTerm, signal.SIGINT: self._reactor.sigInt}
        for number, handler in own.items():
            if signal.getsignal(number) == handler:
                signal.signal(number, self._received)
        if self._restart is not None and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
            self._onTerminal = _onTerminal()
            signal.signal(signal.SIGHUP, self._received)

    def _received(self, number: int, frame: object) -> None:
        # Between any two bytecodes of the main thread: do nothing here but wake the reactor.
        self._reactor.callFromThread(self.stop, signal.Signals(number).name)

    def stop(self, name: str) -> None:
        """Do what the signal of this name asks for."""
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
        # The signal was not sent by hand: our terminal has been closed.
        return self._onTerminal and not _onTerminal()
