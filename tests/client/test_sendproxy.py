"""Tests for `tcplab.client.sendproxy`: ``--proxy-header``, against what reads it."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.commandline import parseOptions
from tcplab.client.connect import SingleUseFactory, connect
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Outcome, Result
from tcplab.client.sendproxy import SendProxyFactory
from tcplab.protocols import Ack, ConversationFactory, Echo, LabConversation
from tcplab.protocols.whoami import WhoAmI
from tests.support.pipes import Pipes
from tests.support.proxy_clients import Announcing, facts


class Hello(ClientProtocol):
    def sessionStarted(self) -> None:
        self.send(b"hello")


class ProxiedTests(SynchronousTestCase):
    def said(self, version: int, host: Any, peer: Any) -> bytes:
        protocol: Any = SendProxyFactory(SingleUseFactory(Hello(Clock())), version).buildProtocol(
            None
        )
        transport = StringTransport(hostAddress=host, peerAddress=peer)
        protocol.makeConnection(transport)
        return transport.value()

    def test_theAddressesAreTheConnections(self) -> None:
        four = [IPv4Address("TCP", f"192.0.2.{last}", last) for last in (1, 2)]
        self.assertEqual(self.said(1, *four), b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello")
        block = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0000201 c0000202 0001 0002")
        self.assertEqual(self.said(2, *four), block + b"hello")
        six = [IPv6Address("TCP", host, 1) for host in ("fe80::1%eth0", "::1")]
        self.assertEqual(self.said(1, *six), b"PROXY TCP6 fe80::1 ::1 1 1\r\nhello")

    def test_unixSockets(self) -> None:
        places = UNIXAddress(None), UNIXAddress(b"/run/lab")
        self.assertEqual(self.said(1, *places), b"PROXY UNKNOWN\r\nhello")
        told = self.said(2, *places)
        self.assertEqual(told[12:16], b"\x21\x31\x00\xd8")
        self.assertEqual(told[16:].rstrip(b"\0"), bytes(108) + b"/run/lab" + bytes(100) + b"hello")

    def test_aFactoryThatWantsNone(self) -> None:
        factory = SendProxyFactory(SingleUseFactory(Hello(Clock())), 1)
        self.assertIsNotNone(factory.buildProtocol(None))
        self.assertIsNone(factory.buildProtocol(None))


class ConnectTests(Announcing):
    """The whole command, against a listener that expects the header."""

    async def hold(self, *arguments: str, say: bytes = b"") -> tuple[Result, bytes]:
        pipes = Pipes(self)
        printed = pipes.printed()
        typed = pipes.type(say)
        try:
            options = parseOptions([f"127.0.0.1:{self.host.port}", *arguments])
            ending = await connect(reactor, options, stdin=pipes.stdin, stdout=pipes.stdout)
        finally:
            pipes.close("stdout", "stdin")
        await typed
        return ending, await printed

    async def test_thePeerIsOurOwn(self) -> None:
        for version in ("v1", "v2"):
            await self.announce(ConversationFactory(WhoAmI), version=version)
            ending, printed = await self.hold("--proxy-header", version)
            self.assertIs(ending.outcome, Outcome.OK)
            told = facts(printed)
            self.assertRegex(told["peer"], r"^127\.0\.0\.1:\d+$")
            self.assertEqual((told["via"], self.lines), ("", []))

    async def test_beforeTLS(self) -> None:
        for version in ("v1", "v2"):
            await self.announce(ConversationFactory(Echo), "tls", version=version)
            words = "--tls", "--insecure", "--proxy-header", version
            ending, printed = await self.hold(*words, say=b"hello")
            self.assertEqual(ending, Result(Outcome.OK, "sent 5 bytes, received 5"))
            self.assertEqual((printed, self.lines), (b"hello", []))

    async def test_aHealthCheck(self) -> None:
        await self.announce(ConversationFactory(LabConversation))
        words = "--proxy-header", "v2", "--expect", "You are connected!", "--quiet"
        ending, _ = await self.hold(*words)
        self.assertIs(ending.outcome, Outcome.OK)

    async def test_withoutItTheServerEnds(self) -> None:
        await self.announce(ConversationFactory(Ack))
        ending, printed = await self.hold(say=b"hello")
        self.assertEqual((ending.outcome, printed), (Outcome.RESET, b""))
        self.assertIn("'hello'", self.lines[0])
