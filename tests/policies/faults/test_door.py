"""Tests for `tcplab.policies.faults.door`, on real sockets."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any

from tcplab.policies.faults.door import Door
from tcplab.protocols import ConversationFactory, Greeting
from tests.serving import Serving, readAll

HELLO = b"Hello from server!"


def family(address: Any) -> int:
    """Tell the family of an address."""
    if not isinstance(address, tuple):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def connect(address: Any) -> socket.socket:
    """Begin to connect, and wait for nothing."""
    sock = socket.socket(family(address))
    sock.setblocking(False)
    error = sock.connect_ex(address)
    if error not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(error, os.strerror(error))
    return sock


class DoorTests(Serving):
    """A port that is shut, and opens again."""

    async def doorAt(self, endpoint: str) -> tuple[Door, Any]:
        await self.serve(ConversationFactory(Greeting), endpoint)
        return Door(self.port), self.port.socket.getsockname()

    def set(self, door: Door, state: str) -> None:
        self.listener.suspend("test")
        door.set(state)
        if state == "open":
            self.listener.resume("test")

    def read(self, address: Any) -> bytes:
        with socket.socket(family(address)) as sock:
            sock.settimeout(10)
            sock.connect(address)
            sock.shutdown(socket.SHUT_WR)
            return readAll(sock)

    async def refused(self, endpoint: str) -> None:
        door, address = await self.doorAt(endpoint)
        for _ in range(3):
            self.assertEqual(await self.talk(self.read, address), HELLO)
            self.set(door, "refuse")
            with self.assertRaises(ConnectionRefusedError):
                await self.talk(self.read, address)
            self.assertEqual(self.port.socket.getsockname(), address)
            self.set(door, "open")
            self.assertEqual(self.port.socket.getsockname(), address)
        self.assertEqual(await self.talk(self.read, address), HELLO)

    async def test_refuse(self) -> None:
        """A port that the system chose stays ours, as often as we like."""
        await self.refused("tcp:0:interface=127.0.0.1")

    async def test_refuseFixed(self) -> None:
        """And one that was typed."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        await self.refused(f"tcp:{port}:interface=127.0.0.1")

    async def test_refuseUnix(self) -> None:
        """The socket keeps its path and its mode."""
        path = self.unixPath()
        await self.refused(f"unix:{path}:mode=640")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)

    async def test_ours(self) -> None:
        """Nobody takes the port meanwhile; who is connected stays so."""
        door, address = await self.doorAt("tcp:0:interface=127.0.0.1")
        with self.connect() as live:
            self.assertEqual(await self.talk(live.recv, 100), HELLO)
            self.set(door, "refuse")
            for reuse in (0, 1):
                with socket.socket() as other:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
                    with self.assertRaises(OSError) as caught:
                        other.bind(address)
                    self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
            live.shutdown(socket.SHUT_WR)
            self.assertEqual(await self.talk(live.recv, 100), b"")
            self.set(door, "open")
        self.assertEqual(await self.talk(self.read, address), HELLO)

    async def test_waiting(self) -> None:
        """Whoever had connected before is let in."""
        door, address = await self.doorAt("tcp:0:interface=127.0.0.1")
        with connect(address) as early:
            door.set("refuse")
            self.listener.suspend("test")
            early.setblocking(True)
            self.assertEqual(await self.talk(early.recv, 100), HELLO)
        self.set(door, "open")

    async def test_hang(self) -> None:
        """The SYN is not answered; the kernel tries again, and is heard when it is over."""
        await self.unanswered("tcp:0:interface=127.0.0.1", "127.0.0.1")

    async def test_hangIPv6(self) -> None:
        """Nor is that of IPv6, nor that of IPv4 where both are served."""
        for interface, host in ((r"\:\:1", "::1"), (r"\:\:", "::1"), (r"\:\:", "127.0.0.1")):
            await self.unanswered(f"tcp6:0:interface={interface}", host)

    async def unanswered(self, endpoint: str, host: str) -> None:
        door, own = await self.doorAt(endpoint)
        address = (host, own[1])
        self.set(door, "hang")
        with connect(address) as sock:
            syn_sent = 2
            for _ in range(100):
                self.assertEqual(self.state(sock), syn_sent)
            self.set(door, "open")
            sock.setblocking(True)
            sock.settimeout(10)
            self.assertEqual(await self.talk(sock.recv, 100), HELLO)
        self.assertEqual(await self.talk(self.read, address), HELLO)

    def state(self, sock: socket.socket) -> int:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

    async def test_hangUnix(self) -> None:
        """A connect waits, and is through when it is over; nobody is told of our own fillers."""
        path = self.unixPath()
        door, _ = await self.doorAt(f"unix:{path}")
        self.set(door, "hang")
        with self.assertRaises(BlockingIOError):
            connect(path)
        self.set(door, "open")
        self.assertEqual(await self.talk(self.read, path), HELLO)
        await self.listener.whenEmpty()
        self.assertEqual(self.listener.next(), 2)

    async def test_oneToAnother(self) -> None:
        door, address = await self.doorAt("tcp:0:interface=127.0.0.1")
        self.set(door, "hang")
        self.set(door, "refuse")
        with self.assertRaises(ConnectionRefusedError):
            await self.talk(self.read, address)
        self.set(door, "hang")
        with connect(address) as sock:
            self.assertEqual(self.state(sock), 2)
        self.set(door, "open")
        self.assertEqual(await self.talk(self.read, address), HELLO)

    async def test_closed(self) -> None:
        """A port that listens no more has no door."""
        door, _ = await self.doorAt("tcp:0:interface=127.0.0.1")
        await self.port.stopListening()
        door.set("refuse")
        door.set("open")
