"""How the first process starts a worker: a program of its own, with the ports in its hands."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet import tcp
from twisted.logger import Logger, globalLogPublisher

from tcplab.config.errors import SettingsError
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.inheritedsockets import listenFDs
from tcplab.workers.messages import VARIABLE, WorkerConfig
from tcplab.workers.pool import WorkerPool
from tcplab.workers.scoreboard import Scoreboard
from tcplab.workers.workerprocess import WorkerProcess

log = Logger("tcplab.server.spawning")

#: Rows of the scoreboard for each worker: those that drain after a restart keep theirs meanwhile.
_ROWS = 16

#: The folder that tcplab is in.
_ROOT = os.path.abspath(__file__).rpartition(os.path.join("", "tcplab", "workers", ""))[0]


class WorkerSpawner:
    """
    Start workers.

    They are started anew, not forked off: two processes with one epoll would hear each other's
    events.

    :param words: what they are to do.
    :param reactor: starts them; theirs is of the same kind.
    :param listeners: what they serve.
    :param size: how many there are to be.
    """

    def __init__(
        self,
        words: Mapping[str, Any],
        reactor: Any,
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
        """How many connections they have, all together."""
        return self._board.total() if self._board is not None else 0

    def prepare(self) -> None:
        """
        Get what they share; all ports listen.

        :raises SettingsError: one of them cannot be shared.
        """
        ports = [self._shared(each) for each in self._listeners]
        self._sockets = [port.fileno() for port in ports]
        self._memory = Scoreboard.create(_ROWS * (self._size + 1))
        self._nothing = os.open(os.devnull, os.O_RDWR)
        self._board = Scoreboard(self._memory)
        systemd = any("systemd:" in each.settings.endpoint for each in self._listeners)
        self._config = WorkerConfig(
            words=self._words,
            owned=tuple(bool(getattr(port, "_shouldShutdown", False)) for port in ports),
            row=0,
            reactor=type(self._reactor).__module__,
            folder=self._folder,
            activated=len(listenFDs()) if systemd else 0,
        )

    def _shared(self, serving: EndpointListener) -> Any:
        if not isinstance(serving.port, tcp.Port):
            raise SettingsError(
                f"--workers: {serving.settings.endpoint} cannot be shared by processes:"
                " use tcp, tcp6, unix, ssl or tls"
            )
        return serving.port

    def start(self, pool: WorkerPool, generation: int) -> WorkerProcess | None:
        """Start one, if that can be done now."""
        assert self._board is not None
        number = self._board.take()
        if number is None:
            log.warn("no room for one more worker: too many drain", log_system="tcplab")
            return None
        row = self._board.rows[number]
        process = WorkerProcess(
            replace(self._config, row=number),
            row,
            generation,
            self._reactor,
            pool.changed,
            pool.closed,
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
        descriptors = {
            **{0: self._nothing, 1: "r", 2: "r"},
            **dict.fromkeys(config.placeholders, self._nothing),
            **dict(zip(config.sockets, self._sockets, strict=True)),
            **{config.board: self._memory, config.commands: "w", config.reports: "r"},
        }
        # -P: of what lies in the current folder, only what is named by its dotted name is ours.
        words = [sys.executable, "-P", "-m", "tcplab.workers"]
        self._reactor.spawnProcess(
            process, words[0], words, self._environment(config), None, childFDs=descriptors
        )

    def _environment(self, config: WorkerConfig) -> dict[str, str]:
        environment = {**os.environ, VARIABLE: config.write()}
        if self._folder == _ROOT:  # it may be here, and nowhere else
            there = environment.get("PYTHONPATH")
            environment["PYTHONPATH"] = f"{_ROOT}{os.pathsep}{there}" if there else _ROOT
        return environment

    def gone(self, process: WorkerProcess) -> None:
        """Forget one."""
        assert self._board is not None
        self._board.free(process.config.row)
