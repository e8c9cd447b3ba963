"""A served port on which a fault acts, and plain sockets that connect to it."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from tcplab.faults import ListenerFault
from tcplab.faults.listenerfaults import FaultyPort
from tcplab.protocols import ConversationFactory, Greeting
from tests.support.socket_server import Serving, readAll

HELLO = b"Hello from server!"
SYN_SENT = 2  # of include/net/tcp_states.h


def familyOf(address: Any) -> int:
    if not isinstance(address, tuple):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def connect(address: Any) -> socket.socket:
    """Begin to connect, and wait for nothing."""
    sock = socket.socket(familyOf(address))
    sock.setblocking(False)
    error = sock.connect_ex(address)
    if error not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(error, os.strerror(error))
    return sock


def stateOf(sock: socket.socket) -> int:
    """Return the kernel's state of a TCP connection."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def greeted(address: Any) -> bytes:
    """Connect, finish, and read to the end."""
    with socket.socket(familyOf(address)) as sock:
        sock.settimeout(10)
        sock.connect(address)
        sock.shutdown(socket.SHUT_WR)
        return readAll(sock)


class FaultyPortTests(Serving):
    """Serve `Greeting` on a port, and have faults act on it."""

    faulty: FaultyPort
    address: Any

    async def servePort(self, endpoint: str = "tcp:0:interface=127.0.0.1") -> None:
        await self.serve(ConversationFactory(Greeting), endpoint)
        self.faulty = FaultyPort(self.port)
        self.address = self.port.socket.getsockname()

    def set(self, fault: ListenerFault | None) -> None:
        """Have a fault act, or none, as a listener does."""
        self.listener.suspend("test")
        self.faulty.set(fault)
        if fault is None:
            self.listener.resume("test")

    async def assertServed(self) -> None:
        self.assertEqual(await self.talk(greeted, self.address), HELLO)
