"""Start worker processes, which inherit the ports."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from twisted.internet import tcp
from twisted.logger import Logger, globalLogPublisher

from tcplab.config.errors import SettingsError
from tcplab.config.optionparsers import Words
from tcplab.reactor.interfaces import IReactor
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.inheritedsockets import listenFDs
from tcplab.workers.messages import VARIABLE, WorkerConfig
from tcplab.workers.pool import WorkerPool
from tcplab.workers.scoreboard import Scoreboard
from tcplab.workers.workerprocess import WorkerProcess

log = Logger("tcplab.server.spawning")

#: Rows of the scoreboard for each worker: those that drain after a restart keep theirs meanwhile.
_ROWS = 16

#: The folder that holds the package tcplab.
_ROOT = os.path.abspath(__file__).rpartition(os.path.join("", "tcplab", "workers", ""))[0]


class WorkerSpawner:
    """
    Start worker processes.

    They are new programs, not forks: two processes with one epoll would receive each other's
    events.

    :param words: what they serve: arguments of `tcplab.config.options.fromWords`.
    :param reactor: starts them; theirs is of the same kind.
    :param listeners: their ports are shared.
    :param size: how many workers serve.
    """

    def __init__(
        self,
        words: Mapping[str, Words],
        reactor: IReactor,
        listeners: Sequence[EndpointListener],
        size: int,
    ) -> None:
        self._words = words
        self._reactor = reactor
        self._listeners = listeners
        self._size = size
        self._folder = os.getcwd()
        self._board: Scoreboard | None = None

    @property
    def connections(self) -> int:
        """The open connections of all workers."""
        return self._board.total() if self._board is not None else 0

    def prepare(self) -> None:
        """
        Make what the workers share; all ports listen.

        :raises SettingsError: a port cannot be shared.
        """
        ports = [_sharedPort(each) for each in self._listeners]
        self._sockets = [port.fileno() for port in ports]
        self._memory = Scoreboard.create(_ROWS * (self._size + 1))
        self._devNull = os.open(os.devnull, os.O_RDWR)
        self._board = Scoreboard(self._memory)
        systemd = any("systemd:" in each.settings.endpoint for each in self._listeners)
        self._config = WorkerConfig(
            words=self._words,
            owned=tuple(bool(port._shouldShutdown) for port in ports),
            row=0,
            reactor=type(self._reactor).__module__,
            folder=self._folder,
            activated=len(listenFDs()) if systemd else 0,
        )

    def useWords(self, words: Mapping[str, Words]) -> None:
        """Start the next processes with these words."""
        self._config = replace(self._config, words=words)

    def start(self, pool: WorkerPool, generation: int) -> WorkerProcess | None:
        """Start a process; log why, and return ``None``, if that is impossible now."""
        assert self._board is not None
        number = self._board.take()
        if number is None:
            log.warn(
                "cannot start a worker: too many old ones are still draining", log_system="tcplab"
            )
            return None
        row = self._board.rows[number]
        process = WorkerProcess(
            replace(self._config, row=number),
            row,
            generation,
            self._reactor,
            pool.stateChanged,
            pool.pipesClosed,
            globalLogPublisher,
        )
        try:
            self._spawn(process)
        except OSError as e:
            log.warn(
                "cannot start a worker, {program}: {problem}",
                log_system="tcplab",
                program=sys.executable,
                problem=e.strerror,
            )
            self._board.free(number)
            return None
        row.pid = process.pid
        return process

    def _spawn(self, process: WorkerProcess) -> None:
        config = process.config
        descriptors: dict[int, int | str] = {
            **{0: self._devNull, 1: "r", 2: "r"},
            **dict.fromkeys(config.placeholders, self._devNull),
            **dict(zip(config.sockets, self._sockets, strict=True)),
            **{config.board: self._memory, config.commands: "w", config.reports: "r"},
        }
        # -P: modules in the current folder are imported only where the settings name them.
        command = [sys.executable, "-P", "-m", "tcplab.workers"]
        environment = self._environment(config)
        self._reactor.spawnProcess(
            process, command[0], command, environment, None, childFDs=descriptors
        )

    def _environment(self, config: WorkerConfig) -> dict[str, str]:
        environment = {**os.environ, VARIABLE: config.write()}
        if self._folder == _ROOT:  # tcplab may be found here, and nowhere else
            path = environment.get("PYTHONPATH")
            environment["PYTHONPATH"] = f"{_ROOT}{os.pathsep}{path}" if path else _ROOT
        return environment

    def release(self, process: WorkerProcess) -> None:
        """Free the scoreboard's row of a process that has exited."""
        assert self._board is not None
        self._board.free(process.config.row)


def _sharedPort(listener: EndpointListener) -> tcp.Port:
    if not isinstance(listener.port, tcp.Port):
        raise SettingsError(
            f"--workers: {listener.settings.endpoint} cannot be shared by processes:"
            " use tcp, tcp6, unix, ssl or tls"
        )
    return listener.port
