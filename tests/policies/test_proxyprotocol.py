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


class Greets(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(b"hello")  # type: ignore[union-attr]


class Recording(Factory):
    """A factory of plain protocols that keeps what it was asked for."""

    noisy = False

    def __init__(self) -> None:
        self.addresses: list[Any] = []
        self.built: list[Any] = []

    def buildProtocol(self, address: Any) -> Protocol:
        self.addresses.append(address)
        self.built.append(Greets())
        return self.built[-1]  # type: ignore[no-any-return]


class TrustedTests(Announcing):
    """The peer that a trusted proxy names is the peer everywhere."""

    async def send(self, header: bytes) -> socket.socket:
        """Connect, send a header, and read the greeting."""
        client = self.client()
        client.sendall(header)
        self.assertEqual(await self.talk(client.recv, 5), b"hello")
        return client

    async def whoami(self, client: socket.socket, header: bytes) -> tuple[str, ...]:
        """Return what the behaviour says of the peer, the proxy and the local address."""
        client.sendall(header)
        told = facts(await self.heard(client))
        return told["peer"], told["via"], told["host"]

    async def test_everywhere(self) -> None:
        """In the factory, the transport, the log and the observers."""
        for header in (LINE, BLOCK):
            await self.announce(Recording())
            client = await self.send(header)
            factory = self.port.factory
            expected = IPv4Address("TCP", "203.0.113.9", 4711)
            self.assertEqual(factory.addresses, [expected])
            transport = factory.built[0].transport
            self.assertEqual((transport.getPeer(), transport.getHost()), (expected, self.host))
            told = self.told.opened[0]
            self.assertEqual((told.peer, told.number, told.host), (expected, 1, self.host))
            self.assertEqual(told.prefix, "Greets,1,203.0.113.9")
            self.assertEqual(transport.logPrefix(), told.prefix)
            client.close()
            ending = await self.told.ending()
            self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))
            self.assertEqual((ending.received, ending.sent, self.lines), (0, 5, []))

    async def test_whoami(self) -> None:
        """LOCAL and UNKNOWN are connections of the proxy itself."""
        await self.announce(ConversationFactory(WhoAmI))
        for header, isNamed in (
            (LINE, True),
            (BLOCK, True),
            (b"PROXY UNKNOWN\r\n", False),
            (writeHeader(2), False),
            (writeHeader(2, local=True), False),
        ):
            client = self.client()
            proxy = "{}:{}".format(*client.getsockname())
            host = "{}:{}".format(*client.getpeername())
            expected = (PEER, proxy, host) if isNamed else (proxy, "", host)
            self.assertEqual(await self.whoami(client, header), expected)

    async def test_tls(self) -> None:
        """The header comes before TLS, in one piece with its first message."""
        for header in (LINE, BLOCK):
            await self.announce(ConversationFactory(WhoAmI), self.tlsEndpoint())
            client = self.client()
            told = facts(await self.talk(overTLS, client, header, b""))
            proxy = "{}:{}".format(*client.getsockname())
            self.assertEqual((told["peer"], told["via"]), (PEER, proxy))
            self.assertEqual(self.told.opened[0].prefix, "WhoAmI,1,203.0.113.9")

    async def test_pieces(self) -> None:
        """No byte behind the header is lost, wherever it is cut."""
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

    async def test_header(self) -> None:
        """A behaviour finds all of it."""
        await self.announce(Recording())
        await self.send(writeHeader(2, ADA, LAB, tlvs=[TLV(5, b"id-1"), TLV(2, b"lab.example")]))
        announced: Any = bottomTransport(self.port.factory.built[0].transport).announced
        self.assertEqual((announced.uniqueID, announced.authority), (b"id-1", "lab.example"))
        self.assertEqual(announced.destination, LAB)

    async def test_families(self) -> None:
        await self.announce(Recording())
        six, mapped = InetAddress.of("2001:db8::1", 1), InetAddress.of("::ffff:203.0.113.9", 4711)
        for header, peer, prefix in (
            (writeHeader(1, six, six), IPv6Address("TCP", "2001:db8::1", 1), "2001:db8::1"),
            (writeHeader(2, mapped, six), IPv4Address("TCP", "203.0.113.9", 4711), "203.0.113.9"),
            (writeHeader(2, b"/run/\x1b", b""), UNIXAddress(b"/run/\x1b"), "/run/\\x1b"),
            (writeHeader(2, b"", b"/lab"), UNIXAddress(None), "unix"),
            (
                writeHeader(2, ADA, LAB, datagrams=True),
                IPv4Address("UDP", "203.0.113.9", 4711),
                "203.0.113.9",
            ),
        ):
            await self.send(header)
            told = self.told.opened[-1]
            self.assertEqual((told.peer, told.prefix), (peer, f"Greets,{told.number},{prefix}"))

    async def test_unix(self) -> None:
        path = self.unixPath()
        await self.announce(ConversationFactory(WhoAmI), f"unix:{path}", trusted=("unix",))
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        self.assertEqual(await self.whoami(client, BLOCK), (PEER, "unix", path))
        self.assertEqual(self.told.opened[0].prefix, "WhoAmI,1,203.0.113.9")

    async def test_mapped(self) -> None:
        """An IPv4 proxy of an IPv6 port is trusted by its IPv4 address."""
        endpoint = r"tcp6:0:interface=\:\:ffff\:127.0.0.1"
        await self.announce(ConversationFactory(WhoAmI), endpoint, trusted=("127.0.0.0/8",))
        client = self.client()
        proxy = "{}:{}".format(*client.getsockname())
        self.assertEqual((await self.whoami(client, LINE))[:2], (PEER, proxy))


class LimitsTests(Announcing):
    """Limits count the named peers."""

    async def test_admission(self) -> None:
        """A peer is refused; at the limit of connections it waits behind its header."""
        await self.announce(ConversationFactory(Echo))
        admission = Admission(maxConnections=2, maxPerPeer=1)
        admission.watch(self.listener)
        self.addCleanup(admission.stop)
        clients = [self.client() for _ in range(4)]
        for number, client in enumerate(clients):
            source = InetAddress.of(f"203.0.113.{min(number, 2)}", 4711)  # the last two are one
            client.sendall(writeHeader(2, source, LAB))
            if number < 2:
                await self.until(lambda: len(self.told.opened) > number)  # noqa: B023
        await self.until(lambda: len(self.listener.filter or ()) == 2)
        self.assertEqual(admission.connections, 2)
        clients[0].close()
        clients[2].sendall(b"hi")
        self.assertEqual(await self.talk(clients[2].recv, 9), b"hi")
        clients[1].close()
        self.assertEqual(await self.heard(clients[3]), b"busy\r\n")


class RefusedTests(Announcing):
    """Any other connection is reset, with one line, and no protocol is built for it."""

    async def assertRefused(self, client: socket.socket, problem: str, why: str = "header") -> None:
        self.assertIn(await self.ended(client), (b"reset", b""))
        host, port = client.getsockname() or ("unix", None)
        place = f"{host}:{port}" if port else host
        [line] = self.lines
        self.assertIn(f"refused=1 why={why} listener=test last={place}: {problem}", line)
        self.assertEqual((self.told.opened, self.told.endings), ([], []))
        self.assertEqual(self.port.factory.addresses, [])

    async def test_untrusted(self) -> None:
        """Whatever it sends; a Unix socket is in no network."""
        problem = "it is not one of the proxies that are listed"
        await self.announce(Recording())
        client = self.client("127.0.0.2")
        client.sendall(BLOCK)
        await self.assertRefused(client, problem)
        await self.announce(Recording(), trusted=("10.0.0.0/8", "2001:db8::/32"))
        await self.assertRefused(self.client(), problem)
        path = self.unixPath()
        await self.announce(Recording(), f"unix:{path}", trusted=("0.0.0.0/0", "::/0"))
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(path)
        await self.assertRefused(client, problem)

    async def test_noHeader(self) -> None:
        none = "no PROXY header of version"
        for version, data, problem in (
            ("any", b"GET / HTTP/1.1\r\n", f"{none} 1 or 2: 'GET / HTTP/1.1\\r\\n'"),
            ("any", b"\x16\x03\x01", f"{none} 1 or 2: '\\x16\\x03\\x01'"),
            ("any", LINE.replace(b" 4711", b" 04711"), "no port, '04711': 'PROXY TCP4 203"),
            ("any", BLOCK[:-1] + b"!", "the checksum of the header is wrong"),
            ("v1", BLOCK, f"{none} 1: "),
            ("v2", LINE, f"{none} 2: "),
        ):
            await self.announce(Recording(), version=version)
            client = self.client()
            client.sendall(data)
            await self.assertRefused(client, problem)

    async def test_late(self) -> None:
        """However much of it has arrived."""
        for data in (b"", LINE[:-1], BLOCK[:-1]):
            await self.announce(Recording(), deadline=0.05)
            client = self.client()
            client.sendall(data)
            problem = "no whole PROXY header came in 0.05 s"
            await self.assertRefused(client, problem, "handshake-timeout")

    async def test_closed(self) -> None:
        """Before the first byte it is a health check, and later a header that was cut short."""
        for data in (b"", LINE[:9]):
            for reset in (False, True):
                await self.announce(Recording())
                client = self.client()
                client.sendall(data)
                await self.until(lambda: self.policy.pending)
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.close()
                await self.until(lambda: not self.policy.pending)
                self.assertEqual(len(self.lines), bool(data))
                for line in self.lines:
                    self.assertIn("a PROXY header that was cut short: 'PROXY TCP'", line)
                after = self.client()
                after.sendall(LINE)
                self.assertEqual(await self.talk(after.recv, 5), b"hello")
                self.assertEqual([each.number for each in self.told.opened], [1])

    async def test_flood(self) -> None:
        """The log has a line a second, with a count."""
        await self.announce(Recording())
        for _ in range(50):
            await self.ended(self.client("127.0.0.2"))
        self.policy.stop()
        self.assertLess(len(self.lines), 20)
        self.assertEqual(sum(event["count"] for event in self.logged), 50)


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
        await self.serve(Recording())
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
