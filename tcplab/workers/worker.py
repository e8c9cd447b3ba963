"""A worker: a process that serves on ports which it shares with other workers."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure

from tcplab.config.behaviours import Behaviour
from tcplab.config.errors import SettingsError
from tcplab.config.options import Settings, fromWords
from tcplab.observers import LogObserver, Observers
from tcplab.reactor.clients import useNameResolver
from tcplab.reactor.interfaces import IReactor
from tcplab.server.inheritedsockets import AdoptingReactor, InheritedSockets
from tcplab.server.processsetup import leaveThreads
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

    _settings: Settings
    _inherited: InheritedSockets
    _balancer: AcceptBalancer

    def __init__(self, config: WorkerConfig, reactor: IReactor) -> None:
        self._config = config
        self._reactor = reactor
        self._logSender = LogSender(config.reports)
        self._board = Scoreboard(config.board)
        self._row = self._board.rows[config.row]
        self._status = 0
        self._service: LabService | None = None

    def run(self) -> int:
        """Serve as commanded until the reactor stops, and return the exit status."""
        globalLogBeginner.beginLoggingTo([self._logSender])
        for each in (self._config.board, self._config.commands, self._config.reports):
            os.set_inheritable(each, False)
        try:
            self._inherited = InheritedSockets(self._config.sockets)
            self._settings = _settings(self._config)
        except (SettingsError, OSError) as e:
            self._fail(e)
        else:
            most = self._settings.maxConnections
            self._balancer = AcceptBalancer(self._board, self._row, most, self._reactor)
            self._reactor.callWhenRunning(self._started)
            self._reactor.addSystemEventTrigger("before", "shutdown", self._drain)
            useNameResolver(self._reactor)
            leaveThreads(self._reactor, self._exit)
            self._reactor.run()
        self._logSender.finish()
        return self._status

    def _exit(self) -> None:
        self._logSender.finish()
        os._exit(self._status)

    def _started(self) -> None:
        commands = self._config.commands
        CommandReader(commands, self._reactor, self.onCommand, self._supervisorGone).startReading()
        StopSignals(self._reactor, self._abort).install()
        self._beat()
        self._logSender.sendState(READY)

    def _beat(self) -> None:
        self._row.beat()
        self._reactor.callLater(BEAT, self._beat)

    def _fail(self, problem: object) -> None:
        log.critical("tcplab: {problem}", problem=str(problem), log_system="tcplab")
        self._status = EX_CONFIG

    # Commands

    def onCommand(self, word: str) -> None:
        """Act on a command of the supervisor."""
        {SERVE: self._serve, LEAVE: self._leave, STOP: self._stop, ABORT: self._abort}[word]()

    def _serve(self) -> None:
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
            self._serveFailed(Failure(e))
        else:
            service.listen().addCallback(self._listening, service).addErrback(self._serveFailed)

    def _listening(self, _: object, service: LabService) -> None:
        for each in service.listeners:
            self._balancer.watch(each)
        self._row.beat()
        self._row.accepting = 1
        self._logSender.sendState(SERVES)

    def _serveFailed(self, failure: Failure) -> None:
        if failure.check(SettingsError):
            self._fail(failure.value)
        else:
            log.failure("this worker cannot serve", failure)
            self._status = 1
        self._stopReactor()

    def _leave(self) -> None:
        """Drain, and leave the clients in the listen queue to the other workers."""
        if self._service is not None:
            for each in self._service.listeners:
                each.suspend(LEAVE)
            self._service.settings = replace(self._service.settings, drainDelay=0.0)
        self._stopReactor()

    def _stop(self) -> None:
        """Drain, and shut down the ports that the lab has bound: no worker serves them again."""
        self._balancer.draining = True
        self._balancer.resume()
        listeners = self._service.listeners if self._service is not None else ()
        for each, owned in zip(listeners, self._config.owned, strict=False):
            if isinstance(each.port, tcp.Port):
                each.port._shouldShutdown = owned
        self._stopReactor()

    def _supervisorGone(self) -> None:
        """Drain: nothing replaces this worker, and nothing reads what it prints."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (1, 2):
            os.dup2(nothing, standard)
        self._stop()

    def _abort(self) -> None:
        if self._service is not None:
            self._service.abort()

    # End

    def _stopReactor(self) -> None:
        with suppress(ReactorNotRunning):  # it is stopping already
            self._reactor.stop()

    def _drain(self) -> Deferred[None] | None:
        self._row.accepting = 0
        service = self._service
        if service is None or not service.running:
            return None
        return service.stopService().addCallback(self._drained, service)

    def _drained(self, _: object, service: LabService) -> None:
        self._balancer.stop()
        if service.drained is not None:
            self._row.drained, self._row.aborted = service.drained


def _settings(config: WorkerConfig) -> Settings:
    """Make the settings, and import the behaviours: so the command to serve takes no time."""
    settings = fromWords(**config.words)
    for listener in settings.listeners:
        Behaviour(listener.spec)
    return settings
