"""A worker: a process that serves on ports which it shares with others."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure

from tcplab.config.behaviours import Behaviour
from tcplab.config.errors import SettingsError
from tcplab.config.settings import Settings, fromWords
from tcplab.observers import LogObserver, Observers
from tcplab.server.inheritedsockets import AdoptingReactor, InheritedSockets
from tcplab.server.service import LabService
from tcplab.server.signals import StopSignals
from tcplab.workers.balancing import AcceptBalancer
from tcplab.workers.logpipe import LogSender
from tcplab.workers.messages import (
    ABORT,
    EX_CONFIG,
    LEAVE,
    READY,
    SERVE,
    SERVES,
    STOP,
    CommandReader,
    WorkerConfig,
)
from tcplab.workers.scoreboard import BEAT, Scoreboard

log = Logger("tcplab.server.worker")


class Worker:
    """
    One worker, in its own process.

    :param config: what it was started with.
    :param reactor: runs it.
    """

    def __init__(self, config: WorkerConfig, reactor: Any) -> None:
        self._config = config
        self._reactor = reactor
        self._logSender = LogSender(config.reports)
        self._board = Scoreboard(config.board)
        self._row = self._board.rows[config.row]
        self._status = 0
        self._settings: Settings | None = None
        self._service: LabService | None = None
        self._balancer: AcceptBalancer | None = None
        self._stopping = False

    def run(self) -> int:
        """Do what we are told until that is over, and return the exit status."""
        globalLogBeginner.beginLoggingTo([self._logSender])
        for each in (self._config.board, self._config.commands, self._config.reports):
            os.set_inheritable(each, False)
        try:
            self._inherited = InheritedSockets(self._config.sockets)
            self._settings = _prepared(self._config)
        except (SettingsError, OSError) as e:
            self._refuse(e)
        else:
            self._reactor.callWhenRunning(self._begin)
            self._reactor.addSystemEventTrigger("before", "shutdown", self._drain)
            self._reactor.run()
        self._logSender.finish()
        return self._status

    def _begin(self) -> None:
        CommandReader(
            self._config.commands, self._reactor, self.onCommand, self._supervisorGone
        ).startReading()
        StopSignals(self._reactor, self._abort).install()
        self._beat()
        self._logSender.say(READY)

    def _beat(self) -> None:
        self._row.beat()
        self._reactor.callLater(BEAT, self._beat)

    def _refuse(self, problem: object) -> None:
        log.critical("tcplab: {problem}", problem=str(problem), log_system="tcplab")
        self._status = EX_CONFIG

    # What we are told

    def onCommand(self, word: str) -> None:
        """Do what one word says."""
        {SERVE: self._serve, LEAVE: self._leave, STOP: self._stop, ABORT: self._abort}[word]()

    def _serve(self) -> None:
        assert self._settings is not None
        try:
            self._service = service = LabService(
                self._settings,
                self._reactor,
                Observers(LogObserver(self._reactor)),
                listening=AdoptingReactor(self._reactor, self._inherited),
                quiet=True,
            )
            service.startService()
        except SettingsError as e:
            self._cannot(Failure(e))
        else:
            service.listen().addCallback(self._listening).addErrback(self._cannot)

    def _listening(self, _: object) -> None:
        assert self._service is not None
        assert self._settings is not None
        most = self._settings.maxConnections
        self._balancer = AcceptBalancer(self._board, self._row, most, self._reactor)
        for each in self._service.listeners:
            self._balancer.watch(each)
        self._row.beat()
        self._row.accepting = 1
        self._logSender.say(SERVES)

    def _cannot(self, failure: Failure) -> None:
        if failure.check(SettingsError):
            self._refuse(failure.value)
        else:
            log.failure("this worker cannot serve", failure)
            self._status = 1
        self._end()

    def _leave(self) -> None:
        """Drain, and leave those who wait to the others."""
        if self._service is not None:
            for each in self._service.listeners:
                each.suspend(LEAVE)
            self._service.settings = replace(self._service.settings, drainDelay=0.0)
        self._end()

    def _stop(self) -> None:
        """Drain, and shut down the ports that are the lab's own: nobody serves them any more."""
        if self._balancer is not None:
            self._balancer.ending = True
            self._balancer.resume()
        listeners = self._service.listeners if self._service is not None else ()
        for serving, owned in zip(listeners, self._config.owned, strict=False):
            if serving.port is not None:
                serving.port._shouldShutdown = owned  # type: ignore[attr-defined]
        self._end()

    def _supervisorGone(self) -> None:
        """The first process is gone: nobody replaces us, and nobody reads what we print."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (1, 2):
            os.dup2(nothing, standard)
        self._stop()

    def _abort(self) -> None:
        if self._service is not None:
            self._service.abort()

    # The end

    def _end(self) -> None:
        with suppress(ReactorNotRunning):  # it is stopping
            self._reactor.stop()

    def _drain(self) -> Deferred[None] | None:
        self._row.accepting = 0
        if self._service is None or not self._service.running:
            return None
        return self._service.stopService().addCallback(self._drained)

    def _drained(self, _: object) -> None:
        assert self._service is not None
        if self._balancer is not None:
            self._balancer.stop()
        if self._service.drained is not None:
            self._row.drained, self._row.aborted = self._service.drained


def _prepared(config: WorkerConfig) -> Settings:
    """Make the settings, and import what is to be served: so it is called in no time."""
    settings = fromWords(**config.words)
    for listener in settings.listeners:
        Behaviour(listener.spec)
    return settings
