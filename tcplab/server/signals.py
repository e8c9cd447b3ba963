"""SIGTERM and SIGINT: the first ends the lab politely, the next at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

log = Logger()


class StopSignals:
    """
    Stop the reactor upon a signal.

    Twisted's own handlers would end the process by that very signal again, after all has been
    closed in good order: exit status 143, which looks like a crash to whoever started it.

    :param reactor: is stopped, and waits for its services.
    :param abort: called for every further signal: what is still open should end now.
    """

    def __init__(self, reactor: Any, abort: Callable[[], object]) -> None:
        self._reactor = reactor
        self._abort = abort

    def install(self) -> None:
        """
        Take the place of the reactor's handlers; to be called when it runs.

        Handlers of others stay, and so does a signal that was ignored when the process started.
        """
        own = {signal.SIGTERM: self._reactor.sigTerm, signal.SIGINT: self._reactor.sigInt}
        for number, handler in own.items():
            if signal.getsignal(number) == handler:
                signal.signal(number, self._received)

    def _received(self, number: int, frame: object) -> None:
        # Between any two bytecodes of the main thread: do nothing here but wake the reactor.
        self._reactor.callFromThread(self.stop, signal.Signals(number).name)

    def stop(self, name: str) -> None:
        """Do what the signal of this name asks for."""
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            log.info("Received {name} again, ending at once.", log_system="tcplab", name=name)
            self._abort()
        else:
            log.info("Received {name}, shutting down.", log_system="tcplab", name=name)
