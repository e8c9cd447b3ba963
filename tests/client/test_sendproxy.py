"""Tests for `tcplab.client.sendproxy`: ``--proxy-header``, and a listener that reads the header."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.connect import SingleUseFactory
from tcplab.client.protocol import ClientProtocol
from tcplab.client.result import Outcome, Result
from tcplab.client.sendproxy import SendProxyFactory
from tcplab.protocols import Ack, ConversationFactory, Echo, LabConversation
from tcplab.protocols.whoami import WhoAmI
from tests.support.pipes import session
from tests.support.proxy_clients import Announcing, facts


class Hello(ClientProtocol):
    def sessionStarted(self) -> None:
        self.send(b"hello")


class HeaderTests(SynchronousTestCase):
    def sent(self, version: int, host: Any, peer: Any) -> bytes:
        factory = SendProxyFactory(SingleUseFactory(Hello(Clock())), version)
        protocol: Any = factory.buildProtocol(None)
        self.assertIsNone(factory.buildProtocol(None))
        transport = StringTransport(hostAddress=host, peerAddress=peer)
        protocol.makeConnection(transport)
        return transport.value()

    def test_addresses(self) -> None:
        """The header names the connection's own."""
        four = [IPv4Address("TCP", f"192.0.2.{last}", last) for last in (1, 2)]
        self.assertEqual(self.sent(1, *four), b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello")
        block = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0000201 c0000202 0001 0002")
        self.assertEqual(self.sent(2, *four), block + b"hello")
        six = [IPv6Address("TCP", host, 1) for host in ("fe80::1%eth0", "::1")]
        self.assertEqual(self.sent(1, *six), b"PROXY TCP6 fe80::1 ::1 1 1\r\nhello")
        unix = UNIXAddress(None), UNIXAddress(b"/run/lab")
        self.assertEqual(self.sent(1, *unix), b"PROXY UNKNOWN\r\nhello")
        sent = self.sent(2, *unix)
        self.assertEqual(sent[12:16], b"\x21\x31\x00\xd8")
        self.assertEqual(sent[16:].rstrip(b"\0"), bytes(108) + b"/run/lab" + bytes(100) + b"hello")


class ConnectTests(Announcing):
    """The whole command."""

    async def hold(self, *arguments: str, send: bytes = b"") -> tuple[Result, bytes]:
        return await session(self, f"127.0.0.1:{self.host.port}", *arguments, send=send)

    async def test_peer(self) -> None:
        for version in ("v1", "v2"):
            await self.announce(ConversationFactory(WhoAmI), version=version)
            result, printed = await self.hold("--proxy-header", version)
            self.assertIs(result.outcome, Outcome.OK)
            fields = facts(printed)
            self.assertRegex(fields["peer"], r"^127\.0\.0\.1:\d+$")
            self.assertEqual((fields["via"], self.lines), ("", []))

    async def test_beforeTLS(self) -> None:
        for version in ("v1", "v2"):
            await self.announce(ConversationFactory(Echo), self.tlsEndpoint(), version=version)
            tls = "--tls", "--insecure", "--proxy-header", version
            result, printed = await self.hold(*tls, send=b"hello")
            self.assertEqual(result, Result(Outcome.OK, "sent 5 bytes, received 5"))
            self.assertEqual((printed, self.lines), (b"hello", []))

    async def test_throughAFault(self) -> None:
        """The endpoint's own protocol remains on the transport; half-close passes all the same."""
        await self.announce(ConversationFactory(Echo))
        where = f"fault:slicer,average_size=3B:tcp:127.0.0.1:{self.host.port}"
        result, printed = await session(self, where, "--proxy-header", "v1", send=b"hello")
        self.assertEqual(result, Result(Outcome.OK, "sent 5 bytes, received 5"))
        self.assertEqual((printed, self.lines), (b"hello", []))

    async def test_healthCheck(self) -> None:
        await self.announce(ConversationFactory(LabConversation))
        check = "--proxy-header", "v2", "--expect", "You are connected!", "--quiet"
        result, _ = await self.hold(*check)
        self.assertIs(result.outcome, Outcome.OK)

    async def test_withoutIt(self) -> None:
        """The server resets the connection."""
        await self.announce(ConversationFactory(Ack))
        result, printed = await self.hold(send=b"hello")
        self.assertEqual((result.outcome, printed), (Outcome.RESET, b""))
        self.assertIn("'hello'", self.lines[0])
