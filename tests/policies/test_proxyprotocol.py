"""Tests for `tcplab.policies.proxyprotocol`, on real sockets."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections import Counter
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.admission import Admission
from tcplab.policies.proxyprotocol import ProxyProtocol
from tcplab.protocols import ConversationFactory, Echo
from tcplab.protocols.whoami import WhoAmI
from tcplab.reactor.stack import bottomTransport
from tcplab.wire.proxyheader import InetAddress, writeHeader
from tcplab.wire.proxytlvs import TLV
from tests.support.certificates import overTLS
from tests.support.proxy_clients import ADA, BLOCK, LAB, LINE, Announcing, facts
from tests.support.proxyfuzz import case
from tests.support.proxyreference import verdict
from tests.support.socket_server import Meeting

TCP = "tcp:0:interface=127.0.0.1"
PEER = "203.0.113.9:4711"


def written(address: tuple[Any, ...]) -> str:
    return "{}:{}".format(*address)


TAGGED = writeHeader(2, ADA, LAB, tlvs=[TLV(0xEE, b"\1\4")])


class TrustedTests(Announcing):
    """The peer that a trusted proxy names is the peer everywhere."""

    async def test_everywhere(self) -> None:
        """In the factory, the transport, the log and the observers."""
        more = [TLV(5, b"id-1"), TLV(2, b"lab.example")]
        for header, known in (
            (LINE, (None, None)),
            (writeHeader(2, ADA, LAB, tlvs=more), (b"id-1", "lab.example")),
        ):
            policy = await self.announce(Meeting(b"hello"))
            policy.watch(self.listener)  # twice is the same as once
            client = self.client(header)
            self.assertEqual(await self.talk(client.recv, 5), b"hello")
            factory = self.port.factory
            expected = IPv4Address("TCP", "203.0.113.9", 4711)
            self.assertEqual(factory.addresses, [expected])
            transport = (await factory.queue.get()).transport
            self.assertEqual((transport.getPeer(), transport.getHost()), (expected, self.host))
            told = self.told.opened[0]
            self.assertEqual((told.peer, told.number, told.host), (expected, 1, self.host))
            self.assertEqual(told.prefix, f"{told.listener},1,203.0.113.9")
            self.assertEqual(transport.logPrefix(), told.prefix)
            announced: Any = bottomTransport(transport).announced
            self.assertEqual((announced.uniqueID, announced.authority), known)
            self.assertEqual(announced.destination, LAB)
            self.assertEqual(told.tlvs, tuple(more if known[0] else ()))
            client.close()
            ending = await self.told.ending()
            self.assertEqual((ending.by, ending.how, ending.why), ("peer", "fin", None))
            self.assertEqual((ending.received, ending.sent, self.lines), (0, 5, []))

    async def test_whoami(self) -> None:
        """LOCAL and UNKNOWN are connections of the proxy itself; a Unix socket has no address."""
        mapped, unix = r"tcp6:0:interface=\:\:ffff\:127.0.0.1", f"unix:{self.unixPath()}"
        for header, endpoint, trusted, isNamed in (
            (LINE, TCP, "127.0.0.1", True),
            (BLOCK, TCP, "127.0.0.1", True),
            (b"PROXY UNKNOWN\r\n", TCP, "127.0.0.1", False),
            (writeHeader(2), TCP, "127.0.0.1", False),
            (writeHeader(2, local=True), TCP, "127.0.0.1", False),
            (LINE, mapped, "127.0.0.0/8", True),  # an IPv4 proxy of an IPv6 port
            (BLOCK, unix, "unix", True),
            (TAGGED, TCP, "127.0.0.1", True),
        ):
            await self.announce(ConversationFactory(WhoAmI), endpoint, trusted=(trusted,))
            client = self.client(header)
            told = facts(await self.heard(client))
            proxy, host = "unix", endpoint.removeprefix("unix:")
            if endpoint != unix:
                proxy, host = map(written, (client.getsockname(), client.getpeername()))
            expected = (PEER, proxy, host) if isNamed else (proxy, "", host)
            self.assertEqual((told["peer"], told["via"], told["host"]), expected)
            self.assertEqual(told.get("tlv"), "ee:0104" if header is TAGGED else None)

    async def test_tls(self) -> None:
        """The header comes before TLS."""
        for header in (LINE, BLOCK):
            await self.announce(ConversationFactory(WhoAmI), self.tlsEndpoint())
            client = self.client(header)
            tls = await self.talk(overTLS, client)
            self.addCleanup(tls.close)
            told, proxy = facts(await self.heard(tls)), written(tls.getsockname())
            self.assertEqual((told["peer"], told["via"]), (PEER, proxy))


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
        await self.announce(Meeting(b"hello"))
        client = self.client(BLOCK, "127.0.0.2")
        await self.assertRefused(client, problem)
        for endpoint, trusted in (
            (TCP, ("10.0.0.0/8", "2001:db8::/32")),
            (f"unix:{self.unixPath()}", ("0.0.0.0/0", "::/0")),
        ):
            await self.announce(Meeting(b"hello"), endpoint, trusted=trusted)
            await self.assertRefused(self.client(), problem)

    async def test_noHeader(self) -> None:
        """The header is malformed, of another version, or late: however much has arrived."""
        none, late = "no PROXY header of version", {"deadline": 0.05}
        for data, more, problem in (
            (b"GET / HTTP/1.1\r\n", {}, f"{none} 1 or 2: 'GET / HTTP/1.1\\r\\n'"),
            (b"\x16\x03\x01", {}, f"{none} 1 or 2: '\\x16\\x03\\x01'"),
            (LINE.replace(b" 4711", b" 04711"), {}, "no port, '04711': 'PROXY TCP4 203"),
            (BLOCK[:-1] + b"!", {}, "the checksum of the header is wrong"),
            (BLOCK, {"version": "v1"}, f"{none} 1: "),
            (LINE, {"version": "v2"}, f"{none} 2: "),
            (b"", late, "no whole PROXY header came in 0.05 s, and no byte: a proxy has to"),
            (BLOCK[:-1], late, "no whole PROXY header came in 0.05 s"),
        ):
            await self.announce(Meeting(b"hello"), **more)  # type: ignore[arg-type]
            client = self.client(data)
            await self.assertRefused(
                client, problem, "handshake-timeout" if more is late else "header"
            )

    async def test_closed(self) -> None:
        """Before the first byte it is a health check, and later a header that was cut short."""
        for data in (b"", LINE[:9]):
            for reset in (False, True):
                await self.announce(Meeting(b"hello"))
                client = self.client(data)
                await self.until(lambda: self.policy.pending)
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.close()
                await self.until(lambda: not self.policy.pending)
                self.assertEqual(len(self.lines), bool(data))
                for line in self.lines:
                    self.assertIn("a PROXY header that was cut short: 'PROXY TCP'", line)
                after = self.client(LINE)
                self.assertEqual(await self.talk(after.recv, 5), b"hello")
                self.assertEqual([each.number for each in self.told.opened], [1])


class FuzzTests(Announcing):
    """Whatever comes, in any pieces: the specification's verdict, and not a byte before it."""

    async def test_headers(self) -> None:
        await self.announce(ConversationFactory(Echo, greeting=b"hello"), maxPending=10)
        chance, counts = random.Random(5), Counter[str]()
        for _ in range(300):
            data = case(chance)
            kind, *more = verdict(data)
            counts[kind] += 1
            heard = await self.talk(self.exchange, data, chance.randrange(len(data) + 1))
            self.assertEqual(heard, b"hello" + data[more[0] :] if more else b"", data)
        self.assertGreater(min(counts[kind] for kind in ("ok", "bad", "more")), 5, counts)
        self.assertEqual(len(self.told.opened), counts["ok"])

    def exchange(self, data: bytes, cut: int) -> bytes:
        """Send in two pieces, finish, and read to an end of any kind."""
        heard = b""
        with self.connect() as sock, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(data[:cut])
            sock.sendall(data[cut:])
            with contextlib.suppress(OSError):  # it is over already
                sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                heard += piece
        return heard


class SettingsTests(SynchronousTestCase):
    def test_whatMakesNoSense(self) -> None:
        for version, trusted, more, problem in (
            ("v3", ["10.0.0.1"], {}, "v3: there is"),
            ("any", [], {}, "no proxy is trusted"),
            ("any", ["lab"], {}, "'lab'.*: write an address or a network"),
            ("any", ["10.0.0.1/8"], {}, "as in 10.0.0.0/8"),
            ("any", ["::ffff:10.0.0.1"], {}, "write it as IPv4"),
            ("any", ["10.0.0.1"], {"deadline": 0}, "deadline must be more than 0 seconds, not 0"),
        ):
            error = self.assertRaises(ValueError, ProxyProtocol, version, trusted, **more)
            self.assertRegex(str(error), rf"^[^\n]*{problem}[^\n]*$")

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
