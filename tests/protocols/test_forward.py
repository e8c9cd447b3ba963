"""Tests for `tcplab.protocols.forward`."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress

from tcplab.listener.servertransport import ProxiedPeer
from tcplab.protocols import (
    CRLF,
    ConversationFactory,
    Echo,
    Forward,
    Framing,
    Int32,
    Lines,
    Netstrings,
)
from tcplab.testing import Peer
from tcplab.wire.proxyheader import ProxyHeader
from tcplab.wire.proxyreader import HeaderReader
from tcplab.wire.proxytlvs import TLV
from tests.support.memory_servers import Joining, Joint, Servers

#: Position-coded: a byte that is lost, doubled or out of its place is seen.
PATTERN = b"".join(b"%06x" % number for number in range(2**16))


class Censor(Forward):
    framing = Lines

    def upstreamMessage(self, message: bytes) -> bytes | None:
        return None if message == b"drop" else message.upper()

    def downstreamMessage(self, message: bytes) -> bytes | None:
        return None if message.startswith(b"secret") else b"> " + message


class Broken(Forward):
    def downstreamMessage(self, message: bytes) -> bytes | None:
        raise RuntimeError("no answer pleases me")


def forward(kind: type[Forward] = Forward, **settings: Any) -> Forward:
    conversation = kind()
    for name, value in settings.items():
        setattr(conversation, name, value)
    return conversation


def join(kind: type[Forward] = Forward, servers: Servers | None = None, **settings: Any) -> Joint:
    joint = Joint(forward(kind, **settings), servers)
    joint.settle()
    return joint


def ends(joint: Joint, first: str) -> tuple[Peer, Peer]:
    """Return both ends, the client or the server first."""
    found = joint.client, joint.server
    return found if first == "client" else (found[1], found[0])


def held(joint: Joint) -> int:
    """Count the bytes of both directions that were received and not sent yet."""
    near, far = joint.client.transport, joint.server.transport
    return near.received - far.sent + far.received - near.sent


class BytesTests(Joining):
    def test_bothWays(self) -> None:
        """Either end may send first; the lab adds nothing."""
        joint = join()
        self.assertEqual(joint.client.value(), b"")
        joint.send(joint.server, b"220 mail")
        joint.send(joint.client, b"hi")
        self.assertEqual((joint.client.value(), joint.server.value()), (b"220 mail", b"hi"))

    def test_beforeTheServerIsConnected(self) -> None:
        """Bytes and FIN of the client wait for the server."""
        servers = Servers(hangs=True)
        joint = Joint(Forward(), servers)
        joint.client.finish(b"in a hurry")
        joint.settle()
        servers.answer()
        self.assertEqual(joint.told(joint.server), b"in a hurry")
        self.assertTrue(joint.server.ended)


class HalfCloseTests(Joining):
    def test_passedOn(self) -> None:
        """A FIN of either is passed on, and the other end goes on sending."""
        for first in ("client", "server"):
            joint = join()
            near, far = ends(joint, first)
            near.finish(b"question")
            self.assertEqual(joint.told(far), b"question")
            self.assertEqual((far.ended, near.connected), (True, True))
            joint.send(far, b"answer")
            far.finish(b" and more")
            self.assertEqual(joint.told(near), b"answer and more")
            self.assertTrue(near.ended)
            self.assertOver(joint)
            self.assertEqual((joint.client.wasReset, joint.why), (False, None))

    def test_serverThatTakesNothing(self) -> None:
        """A server that takes nothing of what is left for it is reset after 30 s."""
        joint = join()
        joint.server.reading = False
        joint.finish(joint.server)
        joint.client.finish(PATTERN[:70_000])
        joint.settle()
        self.assertFalse(joint.client.connected)
        joint.advance(29)
        self.assertTrue(joint.server.connected)
        joint.server.read(1000)
        joint.advance(20)
        self.assertTrue(joint.server.connected)
        joint.advance(45)
        self.assertTrue(joint.server.wasReset)
        self.assertOver(joint)


class ResetTests(Joining):
    def test_passedOn(self) -> None:
        """The reset of either is passed on behind its bytes, the server's with the reason."""
        for first, halfClosed in (("client", False), ("server", False), ("server", True)):
            joint = join()
            near, far = ends(joint, first)
            if halfClosed:
                joint.finish(joint.client)
            near.write(b"so far so good")
            joint.reset(near)
            self.assertEqual((far.value(), far.wasReset), (b"so far so good", True))
            self.assertOver(joint)
            self.assertEqual(joint.why, "upstream" if first == "server" else None)

    def test_bytesBeforeIt(self) -> None:
        """A client gets all bytes before the reset, unless it takes nothing for 2 s."""
        for reads in (True, False):
            joint = join()
            joint.client.reading, joint.client.window = False, 1000
            joint.server.write(PATTERN[:50_000])
            joint.reset(joint.server)
            for _ in range(3):
                joint.advance(1.5)
                if reads:
                    joint.client.read(900)
            if reads:
                self.assertTrue(joint.client.connected)
                joint.client.resume()
                joint.advance(0.1)
                self.assertTrue(joint.client.value() == PATTERN[:50_000])
            self.assertTrue(joint.client.wasReset)
            self.assertOver(joint)


class ConnectTests(Joining):
    def test_refused(self) -> None:
        """The client's connection is reset before a byte; also if the endpoint fails."""

        class Failing(Servers):
            def connect(self, factory: Any) -> Any:
                raise ZeroDivisionError

        for servers in (Servers(refuses=True), Failing()):
            joint = join(servers=servers, to="tcp:example.org:1")
            self.assertEqual((joint.client.wasReset, joint.client.value()), (True, b""))
            self.assertOver(joint)
            self.assertEqual(joint.why, "upstream")

    def test_timeout(self) -> None:
        """The attempt is cancelled after ``connectTimeout`` seconds."""
        for words, seconds in (({}, 5.0), ({"connectTimeout": 0.5}, 0.5)):
            joint = Joint(forward(**words), Servers(hangs=True))
            joint.advance(seconds - 0.1)
            self.assertTrue(joint.client.connected)
            joint.advance(0.2)
            self.assertTrue(joint.client.wasReset)
            self.assertEqual(joint.servers.cancelled, 1)
            self.assertOver(joint)

    def test_clientLostMeanwhile(self) -> None:
        """The attempt is cancelled."""
        joint = join(servers=Servers(hangs=True))
        joint.client.listener.abort()
        joint.settle()
        self.assertEqual(joint.servers.cancelled, 1)
        self.assertOver(joint)


class FlowTests(Joining):
    def test_bound(self) -> None:
        """No more than 256 KiB are held for ends that do not read, and nothing is lost."""
        for kind in (Forward, Censor):
            joint = join(kind)
            said = (PATTERN[:-1] + b"\n") if kind is Censor else PATTERN
            said = b"\n".join(said[at : at + 60_000] for at in range(0, len(said), 60_000))
            both = ends(joint, "client")
            for peer in both:
                peer.reading = False
                peer.write(said)
            joint.settle()
            self.assertLessEqual(held(joint), 256 * 1024, kind)
            self.assertGreater(held(joint), 64 * 1024, kind)
            for peer in both:
                peer.resume()
                peer.finish()
            for peer in both:
                self.assertGreaterEqual(len(joint.told(peer)), len(said))
            self.assertOver(joint)

    def test_otherDirection(self) -> None:
        """A server that does not read is still read."""
        joint = join()
        joint.server.reading = False
        joint.send(joint.client, PATTERN)
        joint.server.write(b"slow down")
        self.assertEqual(joint.told(joint.client), b"slow down")


class MessagesTests(Joining):
    def test_rewritten(self) -> None:
        """Hooks rewrite and drop messages; a last line without its end is one."""
        joint = join(Censor)
        joint.client.finish(b"hi\ndrop\nho")
        self.assertEqual(joint.told(joint.server), b"HI\nHO\n")
        joint.server.finish(b"one\nsecret\ntwo")
        self.assertEqual(joint.told(joint.client), b"> one\n> two\n")
        self.assertOver(joint)

    def test_invalid(self) -> None:
        """Input of either that is no message closes both connections."""
        for sender in ("client", "server"):
            joint = join(Censor)
            joint.send(ends(joint, sender)[0], b"x" * 70_000)
            joint.advance(3)
            self.assertEqual((joint.client.value(), joint.client.ended), (b"", True))
            joint.finish(joint.client)
            self.assertTrue(joint.server.ended)
            joint.advance(3)
            self.assertOver(joint)

    def test_hookFails(self) -> None:
        """An exception resets both and is logged once."""
        joint = join(Broken)
        joint.send(joint.server, b"hi")
        self.assertTrue(joint.client.wasReset)
        self.assertOver(joint)
        self.assertEqual(joint.why, "error")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class DrainTests(Joining):
    def test_idle(self) -> None:
        """Both close once neither has sent anything for ``lingerTimeout`` seconds."""
        joint = join()
        joint.client.write(b"question")
        joint.client.listener.drain()
        for _ in range(3):
            joint.advance(1.5)
            self.assertTrue(joint.client.connected)
            joint.server.write(b"answer")
        joint.advance(4.5)
        self.assertEqual(joint.client.value(), b"answer" * 3)
        self.assertTrue(joint.client.ended and joint.server.ended)
        joint.advance(4.5)  # peers that do not finish are reset
        self.assertOver(joint)


class HeaderTests(Joining):
    def header(self, version: str, data: bytes) -> tuple[Any, bytes]:
        reader = HeaderReader(frozenset({int(version[1])}))
        taken = reader.feed(data)
        return reader.header, data[taken:]

    def test_first(self) -> None:
        """The header precedes all bytes."""
        for version in ("v1", "v2"):
            joint = join(proxyprotocol=version)
            joint.client.write(b"hi")
            header, rest = self.header(version, joint.told(joint.server))
            self.assertEqual((rest, header.family), (b"hi", "TCP4"))
            self.assertEqual((str(header.source.host), header.source.port), ("127.0.0.1", 36702))
            self.assertEqual(header.destination.port, 50544)

    def test_passedOn(self) -> None:
        """What the client's proxy sent besides addresses; its own checks stay its own."""
        tlvs = (TLV(0xEE, b"\1\4"), TLV(2, b"lab"))
        for version, local, expected in (
            ("v2", False, ("PROXY", tlvs)),
            ("v1", False, ("PROXY", ())),
            ("v2", True, ("LOCAL", ())),
        ):
            servers = Servers(hangs=True)
            joint = Joint(forward(proxyprotocol=version), servers)
            transport: Any = joint.client.transport
            transport.proxied = ProxiedPeer(transport.getPeer(), ProxyHeader(2, tlvs=tlvs))
            transport.local = local
            servers.answer()
            header, _ = self.header(version, joint.told(joint.server))
            self.assertEqual((header.command, header.tlvs), expected)

    def test_otherAddresses(self) -> None:
        """A Unix socket's path is sent; an address that fits no header is unknown."""

        def told(version: str, peer: Any, host: Any) -> bytes:
            servers = Servers(hangs=True)
            joint = Joint(forward(proxyprotocol=version), servers)
            transport: Any = joint.client.transport
            transport.getPeer, transport.getHost = lambda: peer, lambda: host
            servers.answer()
            return joint.told(joint.server)

        here = IPv4Address("TCP", "127.0.0.1", 1)
        for peer in (None, IPv4Address("TCP", "no address", 1)):
            self.assertEqual(told("v1", peer, here), b"PROXY UNKNOWN\r\n")
        header, _ = self.header("v2", told("v2", UNIXAddress(None), UNIXAddress(b"/run/lab")))
        self.assertEqual((header.source, header.destination), (b"", b"/run/lab"))


class SettingsTests(Joining):
    def test_refused(self) -> None:
        """Settings that make no sense are refused at once, in one line."""
        for words, advice in (
            ({}, "add to=ENDPOINT"),
            ({"to": "localhost:80"}, "did you mean tcp:localhost:80?"),
            ({"to": "tpc:localhost:80"}, "no kind of endpoint 'tpc'"),
            ({"to": "tcp:a:1", "proxyprotocol": "3"}, "give v1 or v2"),
            ({"to": "tcp:a:1", "connectTimeout": 0}, "above 0"),
        ):
            problem = self.assertRaises(TypeError, ConversationFactory, Forward, **words)
            self.assertIn(advice, str(problem))
            self.assertEqual(len(str(problem).splitlines()), 1)

    def test_endpointOfASubclass(self) -> None:
        """A subclass may choose the server itself."""

        class Chooser(Forward):
            def endpoint(self) -> Any:
                return Servers()

        self.assertEqual(ConversationFactory(Chooser).settings, {})

    def test_itself(self) -> None:
        """It is not served on the port that it would connect to."""
        factory = ConversationFactory(Forward, to="tcp:localhost:50544")
        for host in ("127.0.0.1", "0.0.0.0"):
            here = IPv4Address("TCP", host, 50544)
            problem = str(self.assertRaises(ValueError, factory.checkListening, here))
            self.assertIn(
                "to=tcp:localhost:50544 is where it listens itself: name another server", problem
            )
        factory.checkListening(IPv4Address("TCP", "127.0.0.1", 50545))
        ConversationFactory(Echo).checkListening(here)


class Lined(Forward):
    framing = Lines


class Polite(Lined):
    """Rewrites some lines."""

    def upstreamMessage(self, message: bytes) -> bytes | None:
        return message.replace(b"dash", b"----")

    downstreamMessage = upstreamMessage


class Tabs(Framing):
    """A framing of its own kind, which finds its messages without the help of the base."""

    def next(self) -> bytes | None:
        head, tab, rest = self.unread().partition(b"\t")
        self.feed(rest if tab else head)
        return head if tab else None

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        return message + b"\t"


class UnchangedTests(Joining):
    def test_passesAsItCame(self) -> None:
        """Both ways, in pieces too: line ends, a last line without one, and what is no line."""
        for framing, kind, said, passed in (
            (Lines, Forward, b"a\r\nb\n\r\n\n\rc\r", None),
            (Lines, Polite, b"a\r\ndash\r\nb\r\n", b"a\r\n----\nb\r\n"),
            (CRLF, Forward, b"a\nb\r\nc", None),
            (Netstrings, Forward, b"1:a,0:,", None),
            (Int32, Forward, b"\0\0\0\1a", None),
            (Tabs, Forward, b"a\tb\t", None),
        ):
            for pieces in ([said], [said[number : number + 1] for number in range(len(said))]):
                joint = join(kind, framing=framing)
                for one, other in (
                    (joint.client, joint.server),
                    (joint.server, joint.client),
                ):
                    joint.send(one, *pieces)
                    joint.finish(one)
                    self.assertEqual(other.value(), passed or said, framing)


def _actions() -> Any:
    size = st.integers(1, 150_000)
    each = st.one_of(
        st.tuples(st.just("write"), size),
        st.tuples(st.just("read"), size),
        st.tuples(st.just("window"), st.sampled_from((1, 700, 65536))),
        st.tuples(st.sampled_from(("pause", "resume", "finish")), st.just(0)),
    )
    return st.lists(st.tuples(st.booleans(), each), max_size=25)


class End:
    """One end, and what it has done."""

    finished = False

    def __init__(self, peer: Peer, lined: bool) -> None:
        self.peer, self.lined, self.said = peer, lined, b""

    def act(self, name: str, argument: int) -> None:
        if name == "write":
            self.write(argument)
        elif name == "window":
            self.peer.window = argument
        elif name == "pause":
            self.peer.reading = False
        elif name == "read":
            self.peer.read(argument)
        elif name == "resume":
            self.peer.resume()
        else:
            self.finished = True
            self.peer.finish()

    def write(self, size: int) -> None:
        if self.lined:
            size = size % 65536
        start = len(self.said) % 100_000
        data = PATTERN[start : start + size] + b"\n" * self.lined
        if not self.finished:
            self.said += data
            self.peer.write(data)


class StreamTests(Joining):
    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.sampled_from((Forward, Lined)), _actions())
    def test_nothingIsLostNorReordered(
        self, kind: type[Forward], actions: list[tuple[bool, tuple[str, int]]]
    ) -> None:
        joint = join(kind)
        client, server = (End(peer, kind is Lined) for peer in (joint.client, joint.server))
        for isClient, (name, argument) in actions:
            (client if isClient else server).act(name, argument)
            joint.settle()
            self.assertLessEqual(held(joint), 256 * 1024)
        for end in (client, server):
            for last in ("window", "resume", "finish"):
                end.act(last, 65536)
        joint.settle()
        self.assertTrue(joint.client.value() == server.said)
        self.assertTrue(joint.server.value() == client.said)
        self.assertOver(joint)
        self.assertFalse(joint.client.wasReset or joint.server.wasReset)
