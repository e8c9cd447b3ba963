"""The loads, and how one is put on one server."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.contenders import GREETING, Contender, Running, Trouble, serving
from benchmarks.generator import Generator

#: How a rate is told: what it is divided by, and its name.
UNITS = {
    "request": (1e3, "k/s"),
    "bulk": (1e9, "GB/s"),
    "storm": (1e3, "k/s"),
    "idle": (1e3, "KB"),
}


@dataclass(frozen=True)
class Load:
    """
    A load.

    :ivar kind: what the generator calls it.
    :ivar size: bytes of a request, or of a write.
    :ivar greet: the server speaks first.
    """

    key: str
    title: str
    kind: str
    connections: int
    size: int
    greet: bool = False


LOADS = (
    Load("request-1", "64 B, 1 connection", "request", 1, 64),
    Load("request-100", "64 B, 100 connections", "request", 100, 64),
    Load("request-1000", "64 B, 1000 connections", "request", 1000, 64),
    Load("request-1k", "1 KiB, 100 connections", "request", 100, 1024),
    Load("bulk-1", "bulk, 1 connection", "bulk", 1, 65536),
    Load("bulk-8", "bulk, 8 connections", "bulk", 8, 65536),
    # So many at once that the queue of a server with Twisted's default backlog (50) is never full:
    # what is measured then is the second after which TCP tries again.
    Load("storm", "connect storm", "storm", 32, 16),
    Load("storm-greeting", "connect storm, greeting", "storm", 32, 16, greet=True),
    Load("idle", "memory per idle connection", "idle", 5000, 16),
)


@dataclass(frozen=True)
class Bench:
    """
    What a measurement needs.

    :ivar generator: the command of the load generator.
    :ivar cores: the server's, and the generator's.
    :ivar seconds: that count, for a load.
    :ivar files: that a process may have open.
    """

    generator: list[str]
    cores: tuple[int, int]
    seconds: float
    files: int
    folder: Path

    def measure(self, load: Load, contender: Contender) -> dict[str, Any]:
        """
        Put a load on a fresh server.

        :return: the figures; ``rate`` is in operations or bytes a second, and bytes of memory for
            idle connections; ``p50`` and ``p99`` in microseconds; ``cpu`` is the server's in
            microseconds an operation; ``generator`` and ``foreign`` are shares of a core.
        :raises Trouble: the server, or what it answered, is wrong.
        """
        with serving(contender, load.greet, self.cores[0], self.folder) as server:
            # Not all files are for connections.
            connections = min(load.connections, self.files - 100)
            command = [load.kind, server.port, connections, load.size, self.seconds]
            words = [*self.generator, *map(str, command), *([GREETING] if load.greet else [])]
            with Generator(words) as generator:
                os.sched_setaffinity(generator.pid, {self.cores[1]})
                if load.kind == "idle":
                    figures = _memory(generator, server, connections)
                else:
                    figures = self._speed(generator, server)
            return {**figures, "connections": connections}

    def _speed(self, generator: Generator, server: Running) -> dict[str, Any]:
        _expect(generator, "begun")
        begun = time.monotonic()
        use = machine.Use(self.cores, server.pid, generator.pid)
        figures = json.loads(generator.line(self.seconds))
        used, foreign = use.soFar()
        elapsed = time.monotonic() - begun
        return {
            **figures,
            "cpu": round(1e6 * used / figures["all"], 3),
            "foreign": round(foreign / elapsed, 3),
        }


def _memory(generator: Generator, server: Running, connections: int) -> dict[str, Any]:
    sizes = []
    for word in ("warm", "held"):
        _expect(generator, word)
        sizes.append(machine.residentOf(server.pid))
        generator.goOn()
    return {"rate": (sizes[1] - sizes[0]) / connections}


def _expect(generator: Generator, word: str) -> None:
    said = generator.line()
    if said != word:
        raise Trouble(f"the generator said {said!r} instead of {word!r}")
