"""Tests for `tcplab.reactor.corkedunix`."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet import unix
from twisted.internet.error import FileDescriptorOverrun
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.reactor import steps
from tests.reactor.steps import PATTERN, UnixTransport, play
from tests.serving import Serving, Told, readAll


class NestedTests(SynchronousTestCase):
    """A protocol that turns the reactor itself is read while it is read."""

    def heard(self, script: list[steps.Step]) -> bytes:
        self.patch(unix, "sendmsg", steps.Messages())
        actor, peer = play(self, UnixTransport, [("heard", script)])
        self.assertEqual(actor.written, 20)
        return peer.value()

    def test_outerHeld(self) -> None:
        """What the outer read wrote leaves before what the inner one writes."""
        value = self.heard([("write", 10), ("read", [("write", 10)])])
        self.assertEqual(value, PATTERN[:20])

    def test_outerCollected(self) -> None:
        """Several pieces too."""
        value = self.heard([("write", 5), ("write", 5), ("read", [("write", 10)])])
        self.assertEqual(value, PATTERN[:20])

    def test_innerSilent(self) -> None:
        """It leaves when the inner one writes nothing, too."""
        value = self.heard([("write", 20), ("read", [])])
        self.assertEqual(value, PATTERN[:20])


class Kept(Factory):
    """Build protocols of a kind, and keep the last."""

    noisy = False

    def __init__(self, kind: Any) -> None:
        self.protocol = kind


@implementer(IFileDescriptorReceiver)
class Passes(Protocol):
    """Return every descriptor in the middle of a sentence."""

    descriptor = -1

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.transport.write(b"got it, ")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(b"here")
        transport.sendFileDescriptor(self.descriptor)
        transport.write(b" it is")
        transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        os.close(self.descriptor)


class Unready(Protocol):
    """Pass a descriptor without a byte to carry it."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.sendFileDescriptor(0)  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.reason = reason  # type: ignore[union-attr]


class Answers(Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data.upper())  # type: ignore[union-attr]
        self.transport.write(b"!")  # type: ignore[union-attr]


class Fails(Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"half")  # type: ignore[union-attr]
        raise ZeroDivisionError


class TalkTests(Serving):
    """On real Unix sockets."""

    async def listen(self, kind: Any) -> Told:
        self.factory = Kept(kind)
        return await self.serve(self.factory, f"unix:{self.unixPath()}")

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.settimeout(10)
        sock.connect(self.host.name)
        return sock

    async def test_descriptors(self) -> None:
        """They travel with the bytes among which they were passed; nothing is lost or twice."""
        told = await self.listen(Passes)
        here, there = os.pipe()
        self.addCleanup(os.close, here)

        def client() -> tuple[bytes, list[int]]:
            sock = self.connect()
            socket.send_fds(sock, [b"take it"], [there])
            said, descriptors = b"", []
            while True:
                data, fds, _, _ = socket.recv_fds(sock, 100, 5)
                descriptors += fds
                if not data:
                    return said, descriptors
                said += data

        said, descriptors = await self.talk(client)
        os.close(there)
        ending = await told.ending()
        self.assertEqual(said, b"got it, here it is")
        self.assertEqual((ending.received, ending.sent), (7, 18))
        (passed,) = descriptors
        os.write(passed, b"the same pipe")
        os.close(passed)
        self.assertEqual(os.read(here, 100), b"the same pipe")
        self.assertEqual(os.read(here, 100), b"")  # all others are closed

    async def test_descriptorAlone(self) -> None:
        """One that no byte carries is a bug of the protocol's, as in Twisted."""
        told = await self.listen(Unready)
        await self.talk(self.connect().sendall, b"x")
        await told.ending()
        self.factory.reason.trap(FileDescriptorOverrun)

    async def test_atOnce(self) -> None:
        """What is said leaves when all is said, in one piece."""
        told = await self.listen(Answers)

        def client() -> bytes:
            with self.connect() as sock:
                sock.sendall(b"ab")
                return sock.recv(100)

        self.assertEqual(await self.talk(client), b"AB!")
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how), ("peer", "fin"))
        self.assertEqual((ending.received, ending.sent), (2, 3))

    async def test_exception(self) -> None:
        """What an exception interrupts is not sent."""
        told = await self.listen(Fails)

        def client() -> bytes:
            with self.connect() as sock:
                sock.sendall(b"x")
                return readAll(sock)

        self.assertEqual(await self.talk(client), b"")
        ending = await told.ending()
        self.assertEqual((ending.why, ending.sent), ("error", 0))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_peerClosesWithoutReading(self) -> None:
        """A Unix socket has resets too: they are told by their name."""
        told = await self.listen(Answers)

        def client() -> None:
            with self.connect() as sock:
                sock.sendall(b"x")
                sock.recv(1)

        await self.talk(client)
        ending = await told.ending()
        self.assertEqual((ending.by, ending.how, ending.errno), ("peer", "reset", errno.ECONNRESET))
