"""Tests for `tcplab.protocols.forward`."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols import ConversationFactory, Forward, Lines
from tcplab.testing import Peer
from tcplab.wire.proxyreader import HeaderReader
from tests.support.memory_servers import Joint, Servers

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


class Joining(SynchronousTestCase):
    """Join a client and a server in memory."""

    def join(self, **names: Any) -> Joint:
        joint = Joint(self.made(**names))
        joint.settle()
        return joint

    def made(self, kind: type[Forward] = Forward, **names: Any) -> Forward:
        forward = kind()
        for name, value in names.items():
            setattr(forward, name, value)
        return forward

    def assertOver(self, joint: Joint) -> None:
        self.assertFalse(joint.client.connected)
        for server in joint.servers.peers:
            self.assertFalse(server.connected)
        self.assertEqual(joint.timers(), [])


def held(joint: Joint) -> int:
    """Count the bytes of both directions that have come and not gone."""
    near, far = joint.client.transport, joint.server.transport
    return near.received - far.sent + far.received - near.sent


class BytesTests(Joining):
    def test_bytesPassBothWays(self) -> None:
        joint = self.join()
        joint.client.write(b"hi")
        self.assertEqual(joint.told(joint.server), b"hi")
        joint.server.write(b"ho")
        self.assertEqual(joint.told(joint.client), b"ho")

    def test_whatTheClientSaysBeforeTheServerAnswersWaitsForIt(self) -> None:
        servers = Servers()
        servers.hangs = True
        joint = Joint(self.made(), servers)
        joint.client.finish(b"in a hurry")
        joint.settle()
        servers.answer()
        self.assertEqual(joint.told(joint.server), b"in a hurry")
        self.assertTrue(joint.server.ended)

    def test_aServerThatSpeaksFirstIsHeard(self) -> None:
        joint = self.join()
        joint.server.write(b"220 mail")
        self.assertEqual(joint.told(joint.client), b"220 mail")

    def test_itHasNoGreetingOfItsOwn(self) -> None:
        self.assertEqual(self.join().client.value(), b"")


class HalfCloseTests(Joining):
    def test_theClientsEndIsTheServers(self) -> None:
        joint = self.join()
        joint.client.finish(b"question")
        self.assertEqual(joint.told(joint.server), b"question")
        self.assertTrue(joint.server.ended)
        self.assertTrue(joint.client.connected)
        joint.server.finish(b"answer")
        self.assertEqual(joint.told(joint.client), b"answer")
        self.assertTrue(joint.client.ended)
        self.assertOver(joint)
        assert joint.client.ending is not None
        self.assertEqual(joint.client.ending.how, "fin")
        self.assertEqual(joint.client.ending.why, None)

    def test_theServersEndIsTheClients(self) -> None:
        joint = self.join()
        joint.server.finish(b"that is all")
        self.assertEqual(joint.told(joint.client), b"that is all")
        self.assertTrue(joint.client.ended)
        joint.client.write(b"but I go on")
        self.assertEqual(joint.told(joint.server), b"but I go on")
        joint.client.finish(b" and on")
        self.assertEqual(joint.told(joint.server), b"but I go on and on")
        self.assertOver(joint)

    def test_anEndThatHasToWaitComesBehindItsBytes(self) -> None:
        joint = self.join()
        joint.server.reading = False
        joint.client.finish(PATTERN)
        joint.server.finish(b"done")
        joint.settle()
        joint.server.resume()
        self.assertTrue(joint.told(joint.server) == PATTERN)
        self.assertOver(joint)

    def test_aServerThatTakesNothingOfWhatIsLeftForItIsNotWaitedForForEver(self) -> None:
        joint = self.join()
        joint.server.reading = False
        joint.server.finish(b"done")
        joint.settle()
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
    def test_theClientsResetIsPassedOn(self) -> None:
        joint = self.join()
        joint.client.write(b"hi")
        joint.client.reset()
        joint.settle()
        self.assertEqual(joint.server.value(), b"hi")
        self.assertTrue(joint.server.wasReset)
        self.assertOver(joint)

    def test_theServersResetIsPassedOnAndTold(self) -> None:
        joint = self.join()
        joint.server.write(b"so far so good")
        joint.server.reset()
        joint.settle()
        self.assertEqual(joint.client.value(), b"so far so good")
        self.assertTrue(joint.client.wasReset)
        self.assertOver(joint)
        assert joint.client.ending is not None
        self.assertEqual(joint.client.ending.why, "upstream")

    def slow(self) -> Joint:
        """Join a client that reads nothing of what the server says before it breaks off."""
        joint = self.join()
        joint.client.reading, joint.client.window = False, 1000
        joint.server.write(PATTERN[:50_000])
        joint.server.reset()
        joint.settle()
        return joint

    def test_whatWasSaidBeforeAResetArrivesBeforeIt(self) -> None:
        joint = self.slow()
        for _ in range(3):
            joint.advance(1.5)
            joint.client.read(900)
        self.assertTrue(joint.client.connected)
        joint.client.resume()
        joint.advance(0.1)
        self.assertTrue(joint.client.value() == PATTERN[:50_000])
        self.assertTrue(joint.client.wasReset)
        self.assertOver(joint)

    def test_aPeerThatTakesNothingIsNotWaitedForLong(self) -> None:
        joint = self.slow()
        joint.advance(1.9)
        self.assertTrue(joint.client.connected)
        joint.advance(0.2)
        self.assertTrue(joint.client.wasReset)
        self.assertOver(joint)

    def test_afterAHalfCloseToo(self) -> None:
        joint = self.join()
        joint.client.finish(b"question")
        joint.settle()
        joint.server.reset()
        joint.settle()
        self.assertTrue(joint.client.wasReset)
        self.assertOver(joint)


class CallingTests(Joining):
    def refusing(self) -> Joint:
        servers = Servers()
        servers.refuses = True
        joint = Joint(self.made(to="tcp:example.org:1"), servers)
        joint.settle()
        return joint

    def test_aRefusedUpstreamResetsTheClientBeforeAByte(self) -> None:
        joint = self.refusing()
        self.assertTrue(joint.client.wasReset)
        self.assertEqual(joint.client.value(), b"")
        self.assertOver(joint)
        assert joint.client.ending is not None
        self.assertEqual(joint.client.ending.why, "upstream")

    def test_theServerMustAnswerInTime(self) -> None:
        servers = Servers()
        servers.hangs = True
        joint = Joint(self.made(), servers)
        joint.advance(4.9)
        self.assertTrue(joint.client.connected)
        joint.advance(0.2)
        self.assertTrue(joint.client.wasReset)
        self.assertEqual(servers.cancelled, 1)
        self.assertOver(joint)

    def test_theTimeIsASetting(self) -> None:
        servers = Servers()
        servers.hangs = True
        joint = Joint(self.made(connectTimeout=0.5), servers)
        joint.advance(0.6)
        self.assertFalse(joint.client.connected)

    def test_aConnectionThatEndsMeanwhileGivesTheCallUp(self) -> None:
        servers = Servers()
        servers.hangs = True
        joint = Joint(self.made(), servers)
        joint.settle()
        joint.client.listener.abort()
        joint.settle()
        self.assertEqual(servers.cancelled, 1)
        self.assertOver(joint)

    def test_anEndpointThatFailsEndsTheConnection(self) -> None:
        servers = Servers()
        servers.connect = lambda factory: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        joint = Joint(self.made(), servers)
        joint.settle()
        self.assertTrue(joint.client.wasReset)
        self.assertOver(joint)


class FlowTests(Joining):
    def test_noMoreThan256KiBAreHeldAndNothingIsLost(self) -> None:
        for kind in (Forward, Censor):
            joint = self.join(kind=kind)
            said = (PATTERN[:-1] + b"\n") if kind is Censor else PATTERN
            said = b"\n".join(said[at : at + 60_000] for at in range(0, len(said), 60_000))
            for peer in (joint.client, joint.server):
                peer.reading = False
            joint.client.write(said)
            joint.server.write(said)
            joint.settle()
            self.assertLessEqual(held(joint), 256 * 1024, kind)
            self.assertGreater(held(joint), 64 * 1024, kind)
            for peer in (joint.client, joint.server):
                peer.resume()
            joint.client.finish()
            joint.server.finish()
            self.assertGreaterEqual(len(joint.told(joint.client)), len(said))
            self.assertGreaterEqual(len(joint.told(joint.server)), len(said))
            self.assertOver(joint)

    def test_aServerThatDoesNotReadIsHeardAllTheSame(self) -> None:
        joint = self.join()
        joint.server.reading = False
        joint.client.write(PATTERN)
        joint.settle()
        joint.server.write(b"slow down")
        self.assertEqual(joint.told(joint.client), b"slow down")


class MessagesTests(Joining):
    def test_theyMayBeRewrittenAndDropped(self) -> None:
        joint = self.join(kind=Censor)
        joint.client.write(b"hi\ndrop\nho\n")
        self.assertEqual(joint.told(joint.server), b"HI\nHO\n")
        joint.server.write(b"one\nsecret\ntwo\n")
        self.assertEqual(joint.told(joint.client), b"> one\n> two\n")

    def test_aLastLineWithoutItsEndIsOne(self) -> None:
        joint = self.join(kind=Censor)
        joint.client.finish(b"hi\nho")
        self.assertEqual(joint.told(joint.server), b"HI\nHO\n")
        joint.server.finish(b"yes")
        self.assertEqual(joint.told(joint.client), b"> yes\n")
        self.assertOver(joint)

    def test_whatIsNoMessageEndsBoth(self) -> None:
        joint = self.join(kind=Censor)
        joint.server.write(b"x" * 70_000)
        joint.advance(3)
        self.assertEqual(joint.client.value(), b"")
        self.assertTrue(joint.client.ended)
        joint.client.finish()
        joint.advance(3)
        self.assertOver(joint)
        joint = self.join(kind=Censor)
        joint.client.write(b"x" * 70_000)
        joint.settle()
        self.assertTrue(joint.client.ended)
        joint.client.finish()
        joint.settle()
        self.assertTrue(joint.server.ended)
        joint.server.finish()
        joint.settle()
        self.assertOver(joint)

    def test_aHookThatFailsEndsBothAndIsLoggedOnce(self) -> None:
        joint = self.join(kind=Broken)
        joint.server.write(b"hi")
        joint.settle()
        self.assertTrue(joint.client.wasReset)
        self.assertOver(joint)
        assert joint.client.ending is not None
        self.assertEqual(joint.client.ending.why, "error")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class DrainTests(Joining):
    def test_bothSidesEndWhenBothAreSilent(self) -> None:
        joint = self.join()
        joint.client.write(b"question")
        joint.client.listener.drain()
        for _ in range(3):
            joint.advance(1.5)
            self.assertTrue(joint.client.connected)
            joint.server.write(b"answer")
        joint.advance(4.5)
        self.assertEqual(joint.client.value(), b"answer" * 3)
        self.assertTrue(joint.client.ended)
        self.assertTrue(joint.server.ended)
        joint.client.finish()
        joint.server.finish()
        joint.settle()
        self.assertOver(joint)

    def test_whoDoesNotFinishIsLeft(self) -> None:
        joint = self.join()
        joint.client.listener.drain()
        joint.advance(9)
        self.assertOver(joint)


class HeaderTests(Joining):
    def header(self, version: str, data: bytes) -> tuple[Any, bytes]:
        reader = HeaderReader(frozenset({int(version[1])}))
        taken = reader.feed(data)
        return reader.header, data[taken:]

    def test_itIsWrittenFirstIfAsked(self) -> None:
        for version in ("v1", "v2"):
            joint = self.join(proxyprotocol=version)
            joint.client.write(b"hi")
            header, rest = self.header(version, joint.told(joint.server))
            self.assertEqual(rest, b"hi")
            self.assertEqual(header.family, "TCP4")
            self.assertEqual((str(header.source.host), header.source.port), ("127.0.0.1", 36702))
            self.assertEqual(header.destination.port, 50544)

    def later(self, version: str, peer: Any, host: Any) -> Joint:
        servers = Servers()
        servers.hangs = True
        joint = Joint(self.made(proxyprotocol=version), servers)
        transport: Any = joint.client.transport
        transport.getPeer, transport.getHost = lambda: peer, lambda: host
        servers.answer()
        return joint

    def test_aPeerWithoutAnAddressOfItsOwnIsUnknown(self) -> None:
        joint = self.later("v1", None, IPv4Address("TCP", "127.0.0.1", 1))
        self.assertEqual(joint.told(joint.server), b"PROXY UNKNOWN\r\n")

    def test_aUnixSocketsPathIsTold(self) -> None:
        joint = self.later("v2", UNIXAddress(None), UNIXAddress(b"/run/lab"))
        header, _ = self.header("v2", joint.told(joint.server))
        self.assertEqual((header.source, header.destination), (b"", b"/run/lab"))


class SettingsTests(SynchronousTestCase):
    def refused(self, **words: Any) -> str:
        problem = str(self.assertRaises(TypeError, ConversationFactory, Forward, **words))
        self.assertEqual(len(problem.splitlines()), 1)
        return problem

    def test_theyAreRefusedAtOnceIfTheyMakeNoSense(self) -> None:
        self.assertIn("add to=ENDPOINT", self.refused())
        self.assertIn("did you mean tcp:localhost:80?", self.refused(to="localhost:80"))
        self.assertIn("no kind of endpoint 'tpc'", self.refused(to="tpc:localhost:80"))
        self.assertIn("give v1 or v2", self.refused(to="tcp:a:1", proxyprotocol="3"))
        self.assertIn("above 0", self.refused(to="tcp:a:1", connectTimeout=0))

    def test_aSubclassMayChooseTheServerItself(self) -> None:
        class Chooser(Forward):
            def endpoint(self) -> Any:
                return Servers()

        self.assertEqual(ConversationFactory(Chooser).settings, {})

    def test_itIsNotItsOwnUpstream(self) -> None:
        factory = ConversationFactory(Forward, to="tcp:localhost:50544")
        for host in ("127.0.0.1", "0.0.0.0"):
            here = IPv4Address("TCP", host, 50544)
            problem = str(self.assertRaises(ValueError, factory.checkListening, here))
            self.assertIn("to=tcp:localhost:50544 is where it listens itself", problem)
        factory.checkListening(IPv4Address("TCP", "127.0.0.1", 50545))


class Lined(Forward):
    framing = Lines


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

    def __init__(self, peer: Peer, lined: bool) -> None:
        self.peer = peer
        self.lined = lined
        self.said = b""

    def write(self, size: int) -> None:
        if self.lined:
            size = size % 65536
        start = len(self.said) % 100_000
        data = PATTERN[start : start + size] + b"\n" * self.lined
        if not self.finished:
            self.said += data
            self.peer.write(data)

    def read(self, size: int) -> None:
        self.peer.read(size)

    def window(self, size: int) -> None:
        self.peer.window = size

    def pause(self, _: int) -> None:
        self.peer.reading = False

    def resume(self, _: int) -> None:
        self.peer.resume()

    def finish(self, _: int) -> None:
        self.finished = True
        self.peer.finish()

    finished = False


class StreamTests(Joining):
    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.sampled_from((Forward, Lined)), _actions())
    def test_nothingIsLostNorReorderedWhateverBothEndsDo(
        self, kind: type[Forward], actions: list[tuple[bool, tuple[str, int]]]
    ) -> None:
        joint = self.join(kind=kind)
        client, server = (End(peer, kind is Lined) for peer in (joint.client, joint.server))
        for isClient, (name, argument) in actions:
            getattr(client if isClient else server, name)(argument)
            joint.settle()
            self.assertLessEqual(held(joint), 256 * 1024)
        for end in (client, server):
            end.window(65536)
            end.resume(0)
            end.finish(0)
        joint.settle()
        self.assertTrue(joint.client.value() == server.said)
        self.assertTrue(joint.server.value() == client.said)
        self.assertOver(joint)
        self.assertFalse(joint.client.wasReset or joint.server.wasReset)
