"""Tests for `tcplab.listener.refusal`."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener import refusal as refusalmodule
from tcplab.listener.policy import Policy
from tcplab.listener.refusal import LINGER, TLS_INTERNAL_ERROR, Refusal, refuse
from tests.support.meeting import Meeting
from tests.support.memory_listener import memoryClock
from tests.support.socket_server import Serving, Told, readAll


class RefuseTests(SynchronousTestCase):
    """One peer is refused, on a clock of the test's."""

    def setUp(self) -> None:
        self.clock: Any = memoryClock()
        self.before = Refusal.waiting

    def refuse(self, text: bytes = b"busy") -> socket.socket:
        """Refuse a peer, and return its end."""
        here, there = socket.socketpair()
        self.here = here
        self.addCleanup(here.close)
        self.addCleanup(there.close)
        there.settimeout(10)
        refuse(here, text, self.clock)
        return there

    def tearDown(self) -> None:
        self.clock.advance(2 * LINGER)  # whatever became of the test

    def over(self) -> None:
        """Check that nothing is left."""
        self.assertEqual(self.here.fileno(), -1)
        self.assertEqual(self.clock.readers, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(Refusal.waiting, self.before)

    def test_textAndEnd(self) -> None:
        """The peer reads the text, then the end; once it has finished too, the socket is closed."""
        there = self.refuse()
        self.assertEqual(readAll(there), b"busy")
        (refusal,) = self.clock.readers
        self.assertIs(refusal.doRead(), None)
        there.sendall(b"sent meanwhile")
        self.assertIs(refusal.doRead(), None)
        there.close()
        why = refusal.doRead()
        self.assertEqual(Refusal.waiting, self.before + 1)
        refusal.connectionLost(why)
        self.over()

    def test_neverFinishes(self) -> None:
        """A peer that never finishes is closed after a while, whatever it sends until then."""
        there = self.refuse()
        (refusal,) = self.clock.readers
        for _ in range(19):
            self.clock.advance(0.1)
            there.sendall(b"x")
            self.assertIs(refusal.doRead(), None)
        self.assertNotEqual(self.here.fileno(), -1)
        self.clock.advance(0.11)
        self.over()

    def test_atOnce(self) -> None:
        """Without a text the socket is closed at once, and so it is if the peer has gone."""
        self.assertEqual(readAll(self.refuse(b"")), b"")
        self.over()
        self.here, there = socket.socketpair()
        there.close()
        refuse(self.here, b"busy", self.clock)
        self.over()

    def test_reset(self) -> None:
        """A peer that resets is forgotten, once."""
        there = self.refuse()
        there.close()  # with the text unread: a reset
        (refusal,) = self.clock.readers
        why = refusal.doRead()
        self.assertIsNotNone(why)
        refusal.connectionLost(why)
        refusal.connectionLost(why)
        self.over()

    def test_most(self) -> None:
        """Only so many linger; further ones are closed at once, until there is room again."""
        self.patch(refusalmodule, "MAX_PENDING", self.before + 2)
        lingering = [self.refuse(), self.refuse()]
        closed = self.refuse()
        self.assertEqual((self.here.fileno(), len(self.clock.readers)), (-1, 2))
        self.clock.advance(LINGER)
        lingering.append(self.refuse())
        self.clock.advance(LINGER)
        self.assertEqual([readAll(each) for each in (closed, *lingering)], [b"", *[b"busy"] * 3])
        self.over()


class Refuses(Policy):
    """Refuse all peers, and keep their addresses."""

    text: bytes | None = b"busy\r\n"

    def __init__(self) -> None:
        self.addresses: list[Any] = []
        self.accepted = 0

    def admit(self, address: Any) -> bytes | None:
        self.addresses.append(address)
        return self.text

    def connectionAccepted(self, transport: object) -> None:
        self.accepted += 1


class ServedTests(Serving):
    """Real peers are refused."""

    async def refusing(self, *endpoint: str) -> Told:
        self.factory = Meeting()
        told = await self.serve(self.factory, *endpoint)
        (policy := Refuses()).watch(self.listener)
        self.policy = policy
        self.open = descriptors()
        return told

    async def nothingLeft(self) -> None:
        await self.until(lambda: not Refusal.waiting)
        self.assertEqual(descriptors(), self.open)

    async def test_stillSending(self) -> None:
        """Each of 200 peers that are still sending reads its text."""
        await self.refusing()

        def client() -> bytes:
            with self.connect() as sock:
                sock.sendall(b"x" * 65536)
                heard = sock.recv(100)
                sock.sendall(b"x" * 65536)
                return heard + readAll(sock)

        heard = await self.talk(lambda: [client() for _ in range(200)])
        self.assertEqual(heard, [b"busy\r\n"] * 200)
        self.assertEqual(len(self.policy.addresses), 200)
        await self.nothingLeft()

    async def test_refused(self) -> None:
        """A refused peer is built, counted and reported nowhere; the next one has number 1."""
        for endpoint, text in (
            ("tcp:0:interface=127.0.0.1", b"busy\r\n"),
            (r"tcp6:0:interface=\:\:", b"busy\r\n"),  # the policy is asked for the IPv4 address
            (self.tlsEndpoint(), TLS_INTERNAL_ERROR),
            (f"unix:{self.unixPath()}", b"busy\r\n"),
        ):
            told = await self.refusing(endpoint)
            unix = endpoint.startswith("unix")
            with socket.socket(socket.AF_UNIX) if unix else self.connect() as sock:
                if unix:
                    sock.connect(self.host.name)
                self.assertEqual(await self.talk(readAll, sock), text)
                self.assertTrue(self.listener.whenEmpty().called)
                self.assertEqual(self.policy.addresses, ["" if unix else sock.getsockname()])
            self.assertEqual((self.factory.asked, self.policy.accepted), (0, 0))
            self.assertEqual((told.opened, told.endings), ([], []))
            await self.nothingLeft()
        self.policy.text = None
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.host.name)
        await told.ending()
        self.assertEqual(([each.number for each in told.opened], self.policy.accepted), ([1], 1))


def descriptors() -> int:
    """Count the sockets; the reactor opens pipes when it runs."""
    return sum(link.startswith("socket:") for link in map(target, os.listdir("/proc/self/fd")))


def target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""  # that of the folder, which was being listed
