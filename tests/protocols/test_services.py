"""Tests for `tcplab.protocols.services`, one for each sentence of RFC 863, 864, 865, 867, 868."""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.services import Chargen, Daytime, Discard, QuoteOfTheDay, Time
from tcplab.reactor.stack import bottomTransport, bufferedBytes
from tcplab.testing import Peer, checkBehaviour, connected
from tcplab.wire import texts
from tests.support.conversations import ending
from tests.support.socket_server import Serving, Told

MIB = 2**20


class Then(Daytime):
    now = staticmethod(lambda: 382_729_063.9)


class ThenAsANumber(Time):
    now = staticmethod(lambda: 1.0)


def isChargen(value: bytes) -> bool:
    return value == texts.chargen(0, len(value))


class ConformanceTests(SynchronousTestCase):
    """With the exact values; ``tests.integration.test_manners`` has all behaviours."""

    def test_exact(self) -> None:
        """What is received is thrown away."""
        checkBehaviour(ConversationFactory(Chargen), b"whatever", isChargen)
        daytime = b"Tuesday, February 16, 1982 17:37:43-UTC\r\n"
        checkBehaviour(ConversationFactory(Then), b"whatever", daytime)
        checkBehaviour(ConversationFactory(ThenAsANumber), b"whatever", b"\x83\xaa\x7e\x81")


class DiscardTests(SynchronousTestCase):
    """RFC 863."""

    def test_discards(self) -> None:
        """Any data received is thrown away, until the calling user terminates the connection."""
        peer = connected(Discard())
        for data in (b"x" * MIB, b"\n", b"\0" * 1000):
            peer.write(data)
        peer.clock.advance(3600)
        self.assertEqual((peer.value(), peer.ended), (b"", False))
        self.assertEqual(peer.transport.received, MIB + 1001)
        self.assertEqual(peer.protocol.framing.unread(), b"")
        peer.finish()
        self.assertEqual((peer.ended, peer.connected), (True, False))


class ChargenTests(SynchronousTestCase):
    """RFC 864."""

    def test_stream(self) -> None:
        """Any data received is thrown away, also while the peer reads nothing."""
        for peer in (connected(Chargen()), silent()):
            peer.write(b"whatever" * 100_000)
            self.assertEqual(peer.transport.received, 800_000)
            self.assertEqual(peer.protocol.framing.unread(), b"")
            peer.resume()
            self.assertGreaterEqual(len(peer.value()), MIB)
            self.assertTrue(isChargen(peer.value()))

    def test_ends(self) -> None:
        """It is prepared for the careful close and for the rude abort."""
        for end, how in ((lambda peer: peer.finish(b"bye"), "fin"), (Peer.reset, "reset")):
            peer = silent()
            end(peer)
            peer.resume()
            self.assertTrue(isChargen(peer.value()))
            self.assertFalse(peer.connected)
            self.assertEqual(ending(peer), (how, None))
            self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_unread(self) -> None:
        peer = silent()
        written, sent = peer.protocol._position, peer.transport.sent
        self.assertLessEqual(written - sent, 64 * 1024)
        self.assertEqual(bufferedBytes(peer.transport), written - sent)
        peer.clock.advance(3600)
        self.assertEqual((peer.protocol._position, peer.transport.sent), (written, sent))
        self.assertTrue(peer.connected)

    def test_drain(self) -> None:
        peer = connected(Chargen())
        peer.listener.drain()
        self.assertTrue(peer.ended)


def silent() -> Any:
    """Connect a peer to chargen that reads the beginning and then nothing more."""
    peer = connected(Chargen())
    peer.reading = False
    peer.clock.advance(1)  # what it had made room for comes
    return peer


class ShortAnswerTests(SynchronousTestCase):
    """RFC 865, 867, 868: an answer is sent, then the service closes the connection."""

    def test_quote(self) -> None:
        """The quote is the greeting."""
        peer = connected(ConversationFactory(QuoteOfTheDay, greeting=b"Festina lente.\r\n"))
        self.assertEqual((peer.value(), peer.ended), (b"Festina lente.\r\n", True))

    def test_dateAndTime(self) -> None:
        """By the wall clock, not by the reactor's."""
        before = int(time.time())
        daytime, number = connected(Daytime()).value(), connected(Time()).value()
        possible = range(before, int(time.time()) + 1)
        self.assertIn(daytime, {texts.daytime(second) for second in possible})
        self.assertIn(number, {texts.time(second) for second in possible})
        for service in (Daytime, Time):  # the clock is no setting
            self.assertRaises(TypeError, ConversationFactory, service, now=time.time)


class ChargenOnSocketsTests(Serving):
    """What only the kernel can show."""

    async def test_unread(self) -> None:
        """A peer that never reads costs one chunk, and with TLS a few."""
        told = await self.serve(ConversationFactory(Chargen))
        await self.neverReading(self.connect(), told)
        told = await self.serve(ConversationFactory(Chargen), self.tlsEndpoint())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = await self.talk(lambda: context.wrap_socket(self.connect()))
        await self.neverReading(client, told)

    async def neverReading(self, client: socket.socket, told: Told) -> None:
        self.addCleanup(client.close)
        transport = await self.stalled()
        chargen = transport.protocol
        chargen = getattr(chargen, "wrappedProtocol", chargen)
        self.assertLessEqual(bufferedBytes(transport), 2**18)
        # With TLS the kernel got a little more than was said: the frames.
        self.assertLessEqual(chargen._position - transport.sent, 2**18)
        self.assertGreater(chargen._position, 0)
        client.close()
        await told.ending()

    async def stalled(self) -> Any:
        """Wait until the kernel takes nothing more from the only connection."""
        quiet = 0
        while quiet < 100:
            await deferLater(reactor, 0)
            (transport,) = self.listener.connections or (None,)
            full = transport is not None and transport.sent > 0 and not writable(transport)
            quiet = quiet + 1 if full else 0
        return transport


def writable(transport: Any) -> bool:
    return bool(select.select([], [bottomTransport(transport)], [], 0)[1])
