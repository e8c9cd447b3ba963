"""Tests for `tcplab.policies.proxyprotocol`, on real sockets."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.admission import Admission
from tcplab.policies.proxyprotocol import ProxyProtocol, networkOf
from tcplab.protocols import Ack, ConversationFactory, Echo
from tcplab.protocols.whoami import WhoAmI
from tcplab.reactor.stack import bottomTransport
from tcplab.wire.proxyheader import InetAddress, writeHeader
from tcplab.wire.proxytlvs import TLV
from tests.support.proxy_clients import ADA, BLOCK, LAB, LINE, Announcing, facts, overTLS
from tests.support.proxyfuzz import case
from tests.support.proxyreference import verdict

PEER = "203.0.113.9:4711"


class Guests(Factory):
    """Build plain protocols, and know for whom."""

    noisy = False

    def __init__(self) -> None:
        self.addresses: list[Any] = []
        self.built: list[Any] = []

    def buildProtocol(self, address: Any) -> Protocol:
        self.addresses.append(address)
        protocol = Greets()
        self.built.append(protocol)
        return protocol


class Greets(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(b"hello")  # type: ignore[union-attr]


class BelievedTests(Announcing):
    """Whom a trusted proxy announces is the peer, for everybody."""

    async def test_theBehaviourTheLogAndTheFactoryKnowTheRealPeer(self) -> None:
        for header in (LINE, BLOCK):
            await self.announce(Guests())
            client = self.client()
            client.sendall(header)
            self.assertEqual(await self.talk(client.recv, 5), b"hello")
            guests = self.port.factory
            expected = IPv4Address("TCP", "203.0.113.9", 4711)
            self.assertEqual(guests.addresses, [expected])
            transport = guests.built[0].transport
            self.assertEqual(transport.getPeer(), expected)
            self.assertEqual(transport.getHost(), self.host)
            told = self.told.opened[0]
            self.assertEqual((told.peer, told.number, told.host), (expected, 1, self.host))
            self.assertEqual(told.prefix, "Greets,1,203.0.113.9")
            self.assertEqual(transport.logPrefix(), told.prefix)
            client.close()
            ending = await self.told.ending()
            self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))
            self.assertEqual((ending.received, ending.sent, self.lines), (0, 5, []))

    async def test_whoami(self) -> None:
        await self.announce(ConversationFactory(WhoAmI))
        client = self.client()
        client.sendall(BLOCK)
        told = facts(await self.heard(client))
        proxy = "{}:{}".format(*client.getsockname())
        self.assertEqual((told["peer"], told["via"]), (PEER, proxy))
        self.assertEqual(told["host"], "{}:{}".format(*client.getpeername()))

    async def test_whoamiOverTLS(self) -> None:
        """The header stands before TLS, and may come in one piece with its first message."""
        for header in (LINE, BLOCK):
            await self.announce(ConversationFactory(WhoAmI), "tls")
            client = self.client()
            told = facts(await self.talk(overTLS, client, header, b""))
            proxy = "{}:{}".format(*client.getsockname())
            self.assertEqual((told["peer"], told["via"]), (PEER, proxy))
            self.assertEqual(self.told.opened[0].prefix, "WhoAmI,1,203.0.113.9")

    async def test_notOneByteOfWhatFollowsIsLost(self) -> None:
        """In one piece with the header, and in every cut of it."""
        for header in (LINE, BLOCK, writeHeader(2, ADA, LAB, tlvs=[TLV(0xE0, b"x" * 30)])):
            await self.announce(ConversationFactory(Echo))
            for at in range(len(header) + 1):
                client = self.client()
                client.sendall(header[:at])
                if at < len(header):
                    await self.until(lambda: self.policy.pending)
                    self.assertEqual(len(self.told.opened), at)
                client.sendall(header[at:] + b"hi")
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(await self.heard(client), b"hi")
                client.close()
            self.assertEqual({each.peer.host for each in self.told.opened}, {"203.0.113.9"})  # type: ignore[attr-defined]

    async def test_byteByByte(self) -> None:
        await self.announce(ConversationFactory(Ack))
        client = self.client()
        for at in range(len(BLOCK)):
            client.sendall(BLOCK[at : at + 1])
            await self.turns(2)
            self.assertEqual(bool(self.told.opened), at == len(BLOCK) - 1)
        client.sendall(b"hi\n")
        self.assertEqual(await self.heard(client), b"You are connected!")
        self.assertEqual(self.told.messages, [b"hi\n"])

    async def test_allThatWasSaidIsThereForABehaviour(self) -> None:
        await self.announce(Guests())
        client = self.client()
        client.sendall(writeHeader(2, ADA, LAB, tlvs=[TLV(5, b"id-1"), TLV(2, b"lab.example")]))
        await self.talk(client.recv, 5)
        announced: Any = bottomTransport(self.port.factory.built[0].transport).announced
        self.assertEqual((announced.uniqueID, announced.authority), (b"id-1", "lab.example"))
        self.assertEqual(announced.destination, LAB)

    async def test_peersOfOtherFamilies(self) -> None:
        await self.announce(Guests())
        six, mapped = InetAddress.of("2001:db8::1", 1), InetAddress.of("::ffff:203.0.113.9", 4711)
        udp = writeHeader(2, ADA, LAB, datagrams=True)
        for header, peer, prefix in (
            (writeHeader(1, six, six), IPv6Address("TCP", "2001:db8::1", 1), "2001:db8::1"),
            (writeHeader(2, mapped, six), IPv4Address("TCP", "203.0.113.9", 4711), "203.0.113.9"),
            (writeHeader(2, b"/run/\x1b", b""), UNIXAddress(b"/run/\x1b"), "/run/\\x1b"),
            (writeHeader(2, b"", b"/lab"), UNIXAddress(None), "unix"),
            (udp, IPv4Address("UDP", "203.0.113.9", 4711), "203.0.113.9"),
        ):
            client = self.client()
            client.sendall(header)
            await self.talk(client.recv, 5)
            told = self.told.opened[-1]
            self.assertEqual(told.peer, peer)
            self.assertEqual(told.prefix, f"Greets,{told.number},{prefix}")

    async def test_whatAProxySaysForItselfComesFromTheProxy(self) -> None:
        await self.announce(ConversationFactory(WhoAmI))
        for header in (b"PROXY UNKNOWN\r\n", writeHeader(2), writeHeader(2, local=True)):
            client = self.client()
            client.sendall(header)
            told = facts(await self.heard(client))
            proxy = "{}:{}".format(*client.getsockname())
            self.assertEqual((told["peer"], told["via"]), (proxy, ""))

    async def test_overAUnixSocket(self) -> None:
        path = self.unixPath()
        await self.announce(ConversationFactory(WhoAmI), f"unix:{path}", trusted=("unix",))
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        client.sendall(BLOCK)
        told = facts(await self.heard(client))
        self.assertEqual((told["peer"], told["via"], told["host"]), (PEER, "unix", path))
        self.assertEqual(self.told.opened[0].prefix, "WhoAmI,1,203.0.113.9")

    async def test_anIPv4ProxyOfAnIPv6Port(self) -> None:
        endpoint = r"tcp6:0:interface=\:\:ffff\:127.0.0.1"
        await self.announce(ConversationFactory(WhoAmI), endpoint, trusted=("127.0.0.0/8",))
        client = self.client()
        client.sendall(LINE)
        told = facts(await self.heard(client))
        proxy = "{}:{}".format(*client.getsockname())
        self.assertEqual((told["peer"], told["via"]), (PEER, proxy))


class LimitsTests(Announcing):
    """The limits know the real peer, too."""

    async def test_maxPerPeer(self) -> None:
        await self.announce(Guests())
        admission = Admission(maxPerPeer=1)
        admission.watch(self.listener)
        self.addCleanup(admission.stop)
        first, same, other = (self.client() for _ in range(3))
        first.sendall(LINE)
        self.assertEqual(await self.talk(first.recv, 5), b"hello")
        same.sendall(BLOCK + b"hi")
        self.assertEqual(await self.heard(same), b"busy\r\n")
        other.sendall(writeHeader(2, InetAddress.of("203.0.113.10", 4711), LAB))
        self.assertEqual(await self.talk(other.recv, 5), b"hello")
        self.assertEqual((admission.connections, len(self.told.opened)), (2, 2))

    async def test_maxConnections(self) -> None:
        """Who is announced while there are enough waits, as in the backlog, and is not lost."""
        await self.announce(ConversationFactory(Echo))
        admission = Admission(maxConnections=1)
        admission.watch(self.listener)
        self.addCleanup(admission.stop)
        clients = [self.client() for _ in range(4)]
        for client in clients:
            client.sendall(BLOCK[:20])
        await self.until(lambda: len(self.policy.pending) == 4)
        for client in clients:
            client.sendall(BLOCK[20:] + b"hi")
            client.shutdown(socket.SHUT_WR)
        self.assertEqual([await self.heard(each) for each in clients], [b"hi"] * 4)
        self.assertEqual(admission.connections, 0)


class RefusedTests(Announcing):
    """All others are sent away, with one line, and are nobody for the behaviour."""

    async def refused(self, client: socket.socket, why: str, problem: str) -> None:
        self.assertIn(await self.ended(client), (b"reset", b""))
        host, port = client.getsockname()
        expected = f"refused=1 why={why} listener=test last={host}:{port}: {problem}"
        self.assertEqual(self.lines, [expected])
        self.assertEqual((self.told.opened, self.told.endings), ([], []))

    async def test_aSourceThatIsNotListedIsNeverBelieved(self) -> None:
        await self.announce(Guests())
        client = self.client("127.0.0.2")
        client.sendall(BLOCK)
        await self.refused(client, "header", "it is not one of the proxies that are listed")
        self.assertEqual(self.port.factory.addresses, [])

    async def test_norIsOneThatSaysNothing(self) -> None:
        await self.announce(Guests(), trusted=("10.0.0.0/8", "2001:db8::/32"))
        await self.refused(self.client(), "header", "it is not one of the proxies that are listed")

    async def test_anUnixSocketIsNoNetwork(self) -> None:
        path = self.unixPath()
        await self.announce(Guests(), f"unix:{path}", trusted=("0.0.0.0/0", "::/0"))
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        self.assertIn(await self.ended(client), (b"reset", b""))
        self.assertIn("last=unix: it is not one of", self.lines[0])

    async def test_whatIsNoHeader(self) -> None:
        for data, problem in (
            (b"GET / HTTP/1.1\r\n", "no PROXY header of version 1 or 2: 'GET / HTTP/1.1\\r\\n'"),
            (b"\x16\x03\x01", "no PROXY header of version 1 or 2: '\\x16\\x03\\x01'"),
            (LINE.replace(b" 4711", b" 04711"), "no port, '04711': 'PROXY TCP4 203"),
            (BLOCK[:-1] + b"!", "the checksum of the header is wrong"),
        ):
            await self.announce(Guests())
            client = self.client()
            client.sendall(data)
            self.assertIn(await self.ended(client), (b"reset", b""))
            self.assertEqual(len(self.lines), 1)
            self.assertIn(f": {problem}", self.lines[0])
            self.assertIn(" why=header listener=test last=127.0.0.1:", self.lines[0])
            self.assertEqual((self.told.opened, self.port.factory.addresses), ([], []))

    async def test_theOtherVersion(self) -> None:
        for version, header in (("v1", BLOCK), ("v2", LINE)):
            await self.announce(Guests(), version=version)
            client = self.client()
            client.sendall(header)
            self.assertIn(await self.ended(client), (b"reset", b""))
            self.assertIn(f"no PROXY header of version {version[1]}: ", self.lines[0])

    async def test_aHeaderThatIsCutShort(self) -> None:
        for end in ("fin", "reset"):
            await self.announce(Guests())
            client = self.client()
            client.sendall(LINE[:9])
            await self.until(lambda: self.policy.pending)
            if end == "fin":
                client.shutdown(socket.SHUT_WR)
            else:
                linger = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.close()
            await self.until(lambda: self.lines)
            self.assertIn("a PROXY header that was cut short: 'PROXY TCP'", self.lines[0])

    async def test_tooLate(self) -> None:
        """However far it has come."""
        for begin in (b"", LINE[:-1], BLOCK[:-1]):
            await self.announce(Guests(), deadline=0.05)
            client = self.client()
            client.sendall(begin)
            problem = "no whole PROXY header came in 0.05 s"
            await self.refused(client, "handshake-timeout", problem)

    async def test_aBareCheckIsNoError(self) -> None:
        for end in ("fin", "reset", "while it waits"):
            await self.announce(Guests())
            client = self.client()
            if end == "while it waits":
                await self.until(lambda: self.policy.pending)
            elif end == "reset":
                linger = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.close()
            after = self.client()
            after.sendall(LINE)
            self.assertEqual(await self.talk(after.recv, 5), b"hello")
            await self.until(lambda: not self.policy.pending)
            self.assertEqual((self.lines, self.told.opened[0].number), ([], 1))
            self.assertEqual(len(self.told.opened), 1)

    async def test_aFloodIsSummedUp(self) -> None:
        await self.announce(Guests())
        for _ in range(50):
            client = self.client("127.0.0.2")
            await self.ended(client)
        self.policy.stop()
        self.assertLess(len(self.lines), 20)
        counts = [event["count"] for event in self.logged]
        self.assertEqual(sum(counts), 50)


class FuzzTests(Announcing):
    """Whatever comes, in any pieces: the specification's verdict, and not a byte before it."""

    async def test_headers(self) -> None:
        await self.announce(ConversationFactory(Echo, greeting=b"hello"), maxPending=10)
        counts, wrong = await self.talk(_headersOver, self.host.port, 300, 5)
        self.assertEqual(wrong, [])
        self.assertGreater(min(counts.values()), 5, counts)
        self.assertEqual(len(self.told.opened), counts["ok"])


def _headersOver(port: int, number: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Say so many, each in two pieces; return how many of each verdict, and what was wrong."""
    chance = random.Random(seed)
    counts = {"ok": 0, "bad": 0, "more": 0}
    wrong = []
    for _ in range(number):
        data = case(chance)
        expected = verdict(data)
        counts[expected[0]] += 1
        heard = _said(port, data, chance.randrange(len(data) + 1))
        if heard != (b"hello" + data[expected[1] :] if expected[0] == "ok" else b""):
            wrong.append(f"{data!r}: {expected}, but heard {heard!r}")
    return counts, wrong


def _said(port: int, data: bytes, cut: int) -> bytes:
    heard = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
        contextlib.suppress(ConnectionResetError, BrokenPipeError),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(data[:cut])
        sock.sendall(data[cut:])
        with contextlib.suppress(OSError):  # it is over already
            sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            heard += piece
    return heard


class WatchTests(Announcing):
    async def test_onlyWhoIsWatchedIsAsked(self) -> None:
        await self.serve(Guests())
        client = self.connect()
        self.addCleanup(client.close)
        self.assertEqual(await self.talk(client.recv, 5), b"hello")
        self.assertIsNone(self.listener.filter)

    async def test_twiceIsTheSameAsOnce(self) -> None:
        policy = await self.announce(ConversationFactory(Ack))
        policy.watch(self.listener)
        client = self.client()
        client.sendall(LINE + b"hi")
        self.assertEqual(await self.heard(client), b"You are connected!")


class SettingsTests(SynchronousTestCase):
    def test_whatMakesNoSense(self) -> None:
        for version, trusted, more in (
            ("v3", ["10.0.0.1"], {}),
            ("any", [], {}),
            ("any", ["lab"], {}),
            ("any", ["10.0.0.1/8"], {}),
            ("any", ["::ffff:10.0.0.1"], {}),
            ("any", ["10.0.0.1"], {"deadline": 0}),
        ):
            error = self.assertRaises(ValueError, ProxyProtocol, version, trusted, **more)
            self.assertNotIn("\n", str(error))

    def test_trust(self) -> None:
        policy = ProxyProtocol("any", ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "fe80::/10"])
        for address, expected in (
            (("10.1.2.3", 1), True),
            (("11.1.2.3", 1), False),
            (("192.0.2.1", 1), True),
            (("192.0.2.2", 1), False),
            (("::ffff:10.1.2.3", 1, 0, 0), True),
            (("2001:db8::5", 1, 0, 0), True),
            (("2001:db9::5", 1, 0, 0), False),
            (("fe80::1%eth0", 1, 0, 2), True),
            (b"", False),
            ("", False),
        ):
            self.assertEqual(policy.trusts(address), expected, address)
        self.assertTrue(ProxyProtocol("any", ["unix"]).trusts(b""))

    def test_networks(self) -> None:
        self.assertEqual(str(networkOf("10.0.0.1")), "10.0.0.1/32")
        self.assertIn("10.0.0.0/8", str(self.assertRaises(ValueError, networkOf, "10.0.0.1/8")))
