"""A server on real sockets with faults, and what plain sockets see of it."""

from __future__ import annotations

import select
import socket
import struct
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tcplab.faults import Faults
from tcplab.listener.events import Connection
from tcplab.observers import Observers
from tests.support.socket_server import Serving, Told


class Heard(Told):
    """An observer that keeps the hits of faults too."""

    def __init__(self) -> None:
        super().__init__()
        self.hits: list[tuple[int | None, str]] = []
        self._hitWaiting: Deferred[None] | None = None

    def faultHit(self, connection: Connection | None, text: str) -> None:
        self.hits.append((connection.number if connection is not None else None, text))
        waiting, self._hitWaiting = self._hitWaiting, None
        if waiting is not None:
            waiting.callback(None)

    async def hit(self) -> None:
        """Wait for the next hit."""
        self._hitWaiting = Deferred()
        await self._hitWaiting


class Breaking(Serving):
    """Serve with faults."""

    async def serveBroken(
        self, factory: Any, *faults: str, endpoint: str = "tcp:0:interface=127.0.0.1"
    ) -> Heard:
        await self.serve(factory, endpoint)
        told = Heard()
        self.listener.observers = Observers(told)
        self.faults = Faults(seed=1, clock=reactor)
        self.addCleanup(self.faults.stop)
        self.faults.watch(self.listener)
        for fault in faults:
            self.faults.add(fault)
        return told


def exchange(sock: Any, data: bytes, finish: bool = True) -> tuple[bytes, str]:
    """Say something, finish, and read to the end; return what came, and how it ended."""
    with sock:
        try:
            sock.sendall(data)
            if finish:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            return toTheEnd(sock)[0], "reset"  # in the middle of what we said
        return toTheEnd(sock)


def toTheEnd(sock: Any) -> tuple[bytes, str]:
    """Read to the end; return what came, and whether FIN or RST came behind it."""
    pieces = []
    try:
        while piece := sock.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        return b"".join(pieces), "reset"
    # Behind the FIN there is nothing: no RST either.
    asked = select.poll()
    asked.register(sock, 0)
    error = any(event & select.POLLERR for _, event in asked.poll(0))
    return b"".join(pieces), "error" if error else "fin"


def state(sock: socket.socket) -> int:
    """Return the kernel's state of a connection."""
    return int(struct.unpack("B", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))[0])
