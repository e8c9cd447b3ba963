"""Tests for `tcplab.listener.refusal`."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener import refusal as refusalmodule
from tcplab.listener.policy import Policy
from tcplab.listener.refusal import LINGER, TLS_INTERNAL_ERROR, Refusal, refuse
from tests.support.certificates import localhostFile
from tests.support.socket_server import Serving, Told, readAll


class Reading(Clock):
    """Time, and who reads."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None: ...


class RefuseTests(SynchronousTestCase):
    """One peer is refused, on a clock of the test's."""

    def setUp(self) -> None:
        self.clock = Reading()
        self.before = Refusal.waiting

    def refuse(self, goodbye: bytes = b"busy") -> socket.socket:
        """Refuse somebody, and return his end."""
        here, there = socket.socketpair()
        self.here = here
        self.addCleanup(here.close)
        self.addCleanup(there.close)
        there.settimeout(10)
        refuse(here, goodbye, self.clock)
        return there

    def tearDown(self) -> None:
        self.clock.advance(2 * LINGER)  # whatever became of the test

    def over(self) -> None:
        """Find that nothing is left."""
        self.assertEqual(self.here.fileno(), -1)
        self.assertEqual(self.clock.readers, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(Refusal.waiting, self.before)

    def test_goodbyeAndEnd(self) -> None:
        """It reads the goodbye, then the end; once it has finished too, it is closed."""
        there = self.refuse()
        self.assertEqual(readAll(there), b"busy")
        (refusal,) = self.clock.readers
        self.assertIs(refusal.doRead(), None)
        there.sendall(b"what it still says")
        self.assertIs(refusal.doRead(), None)
        there.close()
        why = refusal.doRead()
        self.assertEqual(Refusal.waiting, self.before + 1)
        refusal.connectionLost(why)
        self.over()

    def test_noGoodbye(self) -> None:
        """Without one it is the end, at once."""
        there = self.refuse(b"")
        self.assertEqual(Refusal.waiting, self.before)
        self.assertEqual(readAll(there), b"")

    def test_neverFinishes(self) -> None:
        """A peer that never finishes is closed after a while, whatever it says until then."""
        there = self.refuse()
        (refusal,) = self.clock.readers
        for _ in range(19):
            self.clock.advance(0.1)
            there.sendall(b"x")
            self.assertIs(refusal.doRead(), None)
        self.assertNotEqual(self.here.fileno(), -1)
        self.clock.advance(0.11)
        self.over()

    def test_goneAlready(self) -> None:
        """A peer that is not there any more is forgotten at once."""
        here, there = socket.socketpair()
        there.close()
        self.here = here
        refuse(here, b"busy", self.clock)
        self.over()

    def test_reset(self) -> None:
        """So is one that breaks off."""
        there = self.refuse()
        there.close()  # with the goodbye unread: a reset
        (refusal,) = self.clock.readers
        why = refusal.doRead()
        self.assertIsNotNone(why)
        refusal.connectionLost(why)
        refusal.connectionLost(why)  # and once only
        self.over()

    def test_most(self) -> None:
        """Only so many linger; whoever is above that is closed at once."""
        self.patch(refusalmodule, "MAX_PENDING", self.before + 2)
        lingering = [self.refuse(), self.refuse()]
        self.assertEqual(len(self.clock.readers), 2)
        closed = self.refuse()
        self.assertEqual(self.here.fileno(), -1)
        self.assertEqual(readAll(closed), b"")
        self.assertEqual([readAll(each) for each in lingering], [b"busy", b"busy"])
        self.clock.advance(LINGER)
        there = self.refuse()
        self.clock.advance(LINGER)
        self.assertEqual(readAll(there), b"busy")  # there was room again
        self.over()


class Never(Factory):
    """Build nothing, and know if it was asked to."""

    noisy = False
    protocol = Protocol
    asked = 0

    def buildProtocol(self, address: Any) -> Any:
        self.asked += 1
        return super().buildProtocol(address)


class Guard(Policy):
    """Refuse everyone, and write down who is told of."""

    def __init__(self, goodbye: bytes | None) -> None:
        self.goodbye = goodbye
        self.addresses: list[Any] = []
        self.book: list[str] = []

    def admit(self, address: Any) -> bytes | None:
        self.addresses.append(address)
        return self.goodbye

    def connectionAccepted(self, transport: object) -> None:
        self.book.append("accepted")

    def connectionOpened(self, transport: object) -> None:
        self.book.append("opened")

    def connectionClosed(self, transport: object) -> None:
        self.book.append("gone")


class ServedTests(Serving):
    """Real peers are refused."""

    async def refusing(self, *endpoint: str) -> Told:
        self.factory = Never()
        told = await self.serve(self.factory, *endpoint)
        self.guard = Guard(b"busy\r\n")
        self.listener.addPolicy(self.guard)
        self.open = descriptors()
        self.addCleanup(self.nothingLeft)
        return told

    async def nothingLeft(self) -> None:
        while Refusal.waiting:
            await self.turn()
        self.assertEqual(descriptors(), self.open)

    def turn(self) -> Deferred[None]:
        """Let the reactor go round."""
        from twisted.internet import reactor

        done: Deferred[None] = Deferred()
        reactor.callLater(0, done.callback, None)  # type: ignore[attr-defined]
        return done

    async def test_stillSending(self) -> None:
        """Every one of 200 peers that are still sending reads its goodbye."""
        await self.refusing()

        def client() -> bytes:
            with self.connect() as sock:
                sock.sendall(b"x" * 65536)
                heard = sock.recv(100)
                sock.sendall(b"x" * 65536)
                return heard + readAll(sock)

        def clients() -> list[bytes]:
            return [client() for _ in range(200)]

        heard = await self.talk(clients)
        self.assertEqual(heard, [b"busy\r\n"] * 200)
        self.assertEqual(len(self.guard.addresses), 200)

    async def test_allAtOnce(self) -> None:
        """Above the most that linger at once they are closed without ado; the port serves on."""
        told = await self.refusing()
        self.patch(refusalmodule, "MAX_PENDING", 5)

        def clients() -> list[bytes]:
            socks = [self.connect() for _ in range(20)]
            heard = []
            for sock in socks:
                try:
                    heard.append(readAll(sock))
                except ConnectionResetError:
                    heard.append(b"reset")
            for sock in socks:
                sock.close()
            return heard

        heard = await self.talk(clients)
        self.assertEqual(heard.count(b"busy\r\n"), 5)
        while Refusal.waiting:
            await self.turn()
        self.guard.goodbye = None
        with self.connect():
            pass
        await told.ending()

    async def test_notOurs(self) -> None:
        """Whoever is refused is not built, counted or told; the next one is number one."""
        told = await self.refusing()
        with self.connect() as sock:
            self.assertEqual(await self.talk(readAll, sock), b"busy\r\n")
            self.assertEqual(self.listener.connections, set())
            self.assertTrue(self.listener.whenEmpty().called)
            self.assertEqual(self.guard.addresses, [sock.getsockname()])
        self.assertEqual((self.factory.asked, self.guard.book), (0, []))
        self.assertEqual((told.opened, told.endings), ([], []))
        self.guard.goodbye = None
        with self.connect():
            pass
        await told.ending()
        await self.turn()  # guards are told behind the observers
        self.assertEqual([each.number for each in told.opened], [1])
        self.assertEqual(self.guard.book, ["accepted", "opened", "gone"])

    async def test_tls(self) -> None:
        """Where TLS is spoken its own word for it is said, and not a byte of plaintext."""
        pem = localhostFile(self.folder())
        told = await self.refusing(f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1")
        with self.connect() as sock:
            self.assertEqual(await self.talk(readAll, sock), TLS_INTERNAL_ERROR)
        self.assertEqual((self.factory.asked, told.opened, told.endings), (0, [], []))

    async def test_unix(self) -> None:
        """Unix sockets too."""
        await self.refusing(f"unix:{self.unixPath()}")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(self.host.name)
            self.assertEqual(await self.talk(readAll, sock), b"busy\r\n")
        self.assertEqual(self.factory.asked, 0)

    async def test_mapped(self) -> None:
        """A guard is asked for the address that people know."""
        await self.refusing(r"tcp6:0:interface=\:\:")
        with self.connect() as sock:
            self.assertEqual(await self.talk(readAll, sock), b"busy\r\n")
            self.assertEqual(self.guard.addresses, [sock.getsockname()])


def descriptors() -> int:
    """Count the sockets; the reactor opens pipes when it runs."""
    return sum(link.startswith("socket:") for link in map(target, os.listdir("/proc/self/fd")))


def target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""  # that of the folder, which was being listed
