"""Tests for `tcplab.protocols.relay`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols import ConversationFactory, Lines, Netstrings, Relay, Stream
from tcplab.testing import checkBehaviour, connected
from tests.support.memory_servers import Joint, Servers


class Linking(SynchronousTestCase):
    """A client, one node, and the next one, which the test plays."""

    def node(self, **settings: Any) -> Relay:
        words = {"name": "ann", "next": "tcp:10.0.0.7:50544", **settings}
        return ConversationFactory(Relay, **words).buildProtocol(None)  # type: ignore[return-value]

    def link(self, servers: Servers | None = None, **settings: Any) -> Joint:
        joint = Joint(self.node(**settings), servers)
        joint.settle()
        return joint

    def assertOver(self, joint: Joint) -> None:
        self.assertFalse(joint.client.connected)
        for server in joint.servers.peers:
            self.assertFalse(server.connected)
        self.assertEqual(joint.timers(), [])


class LastTests(SynchronousTestCase):
    """A node without a next one."""

    factory = ConversationFactory(Relay, name="bob")

    def test_itAcknowledgesEveryMessage(self) -> None:
        peer = connected(self.factory)
        peer.write(b"hi\nho\n")
        self.assertEqual(peer.value(), b"ack hi\nack ho\n")
        self.assertEqual(peer.messages, [b"hi", b"ho"])

    def test_itHasManners(self) -> None:
        checkBehaviour(self, self.factory, b"hi\nho", b"ack hi\nack ho\n")

    def test_anyFramingWillDo(self) -> None:
        peer = connected(ConversationFactory(Relay, name="bob", framing=Stream))
        peer.write(b"Hello, world!")
        self.assertEqual(peer.value(), b"ack Hello, world!")

    def test_aMessageThatIsTooLongToBeAnsweredIsAnsweredByAnError(self) -> None:
        peer = connected(self.factory)
        peer.write(b"x" * 65_535 + b"\nhi\n")
        first, second, _ = peer.value().split(b"\n")
        self.assertTrue(first.startswith(b"error xxx"))
        self.assertTrue(first.endswith(b"x | bob: a line of 65539 bytes, more than 65536"), first)
        self.assertEqual(second, b"ack hi")


class PassingTests(Linking):
    def test_aMessageGoesOnWithTheNameAndTheAnswerComesBack(self) -> None:
        joint = self.link()
        joint.client.write(b"hi\n")
        self.assertEqual(joint.told(joint.server), b"hi | ann\n")
        joint.server.write(b"ack hi | ann\n")
        self.assertEqual(joint.told(joint.client), b"ack hi | ann\n")

    def test_everyMessageAndEveryAnswerIsReported(self) -> None:
        joint = self.link()
        joint.client.write(b"hi\n")
        joint.settle()
        joint.server.write(b"ack hi | ann\n")
        joint.settle()
        self.assertEqual(joint.client.messages, [b"hi", b"ack hi | ann"])

    def test_oneConnectionServesForManyMessages(self) -> None:
        joint = self.link()
        for number in range(1000):
            joint.client.write(b"%d\n" % number)
            joint.server.write(b"ack %d\n" % number)
            joint.settle()
        self.assertEqual(len(joint.servers.peers), 1)
        self.assertEqual(joint.client.value().count(b"ack"), 1000)
        self.assertEqual(joint.server.value().count(b" | ann\n"), 1000)

    def test_messagesThatComeBeforeTheNextNodeAnswersWait(self) -> None:
        servers = Servers()
        servers.hangs = True
        joint = self.link(servers)
        joint.client.finish(b"hi\nho\nlast")
        joint.settle()
        servers.answer()
        self.assertEqual(joint.told(joint.server), b"hi | ann\nho | ann\nlast | ann\n")

    def test_noMoreThanAHundredMessagesWaitForTheirAnswers(self) -> None:
        joint = self.link()
        joint.client.write(b"hi\n" * 250)
        self.assertEqual(joint.told(joint.server).count(b"\n"), 100)
        joint.server.write(b"ack\n" * 100)
        self.assertEqual(joint.told(joint.server).count(b"\n"), 200)
        joint.server.write(b"ack\n" * 100)
        joint.settle()
        joint.server.write(b"ack\n" * 50)
        self.assertEqual(joint.told(joint.client).count(b"\n"), 250)

    def test_whoDoesNotReadItsAnswersIsHeardNoMore(self) -> None:
        joint = self.link()
        joint.client.reading = False
        for _ in range(100):
            joint.client.write(b"hi\n")
            joint.settle()
            joint.server.write(b"x" * 60_000 + b"\n")
            joint.settle()
        self.assertLess(joint.server.transport.received, 400_000)
        joint.client.resume()
        joint.settle()
        self.assertEqual(joint.client.value().count(b"x\n"), 100)

    def test_itsEndIsPassedOnAndEverythingIsAnsweredBeforeOurs(self) -> None:
        joint = self.link()
        joint.client.finish(b"hi\nho")
        joint.settle()
        self.assertTrue(joint.server.ended)
        joint.server.write(b"ack hi\n")
        joint.settle()
        self.assertFalse(joint.client.ended)
        joint.server.finish(b"ack ho\n")
        self.assertEqual(joint.told(joint.client), b"ack hi\nack ho\n")
        self.assertTrue(joint.client.ended)
        self.assertOver(joint)

    def test_aClientThatOnlyLooksIsLetGo(self) -> None:
        joint = self.link()
        joint.client.finish()
        joint.settle()
        self.assertTrue(joint.client.ended)
        joint.server.finish()
        joint.settle()
        self.assertOver(joint)

    def test_aResetIsPassedOn(self) -> None:
        joint = self.link()
        joint.client.write(b"hi\n")
        joint.client.reset()
        joint.settle()
        self.assertTrue(joint.server.wasReset)
        self.assertOver(joint)

    def test_aMessageThatHasBecomeTooLongIsAnsweredInItsTurn(self) -> None:
        joint = self.link()
        joint.client.write(b"hi\n" + b"x" * 65_535 + b"\nho\n")
        self.assertEqual(joint.told(joint.server), b"hi | ann\nho | ann\n")
        self.assertEqual(joint.client.value(), b"")
        joint.server.write(b"ack hi\n")
        joint.settle()
        first, second, _ = joint.client.value().split(b"\n")
        self.assertEqual(first, b"ack hi")
        self.assertTrue(second.endswith(b"x | ann: a line of 65541 bytes, more than 65536"), second)
        joint.server.write(b"ack ho\n")
        self.assertTrue(joint.told(joint.client).endswith(b"\nack ho\n"))


class BrokenTests(Linking):
    """Something is wrong with the link to the next node."""

    WHERE = b"tcp:10.0.0.7:50544"

    def test_aNodeThatIsMissingIsNamed(self) -> None:
        servers = Servers()
        servers.refuses = True
        joint = self.link(servers, name="bob")
        joint.client.write(b"hi | ann\n")
        self.assertEqual(
            joint.told(joint.client), b"error hi | ann | bob: tcp:10.0.0.7:50544 refused\n"
        )

    def test_theNextMessageTriesAgain(self) -> None:
        servers = Servers()
        servers.refuses = True
        joint = self.link(servers)
        joint.client.write(b"hi\n")
        joint.settle()
        servers.refuses = False
        joint.client.write(b"ho\n")
        self.assertEqual(joint.told(joint.server), b"ho | ann\n")
        joint.server.write(b"ack ho\n")
        self.assertTrue(joint.told(joint.client).endswith(b"refused\nack ho\n"))

    def test_aNodeThatDoesNotAnswerTheCallIsNamed(self) -> None:
        servers = Servers()
        servers.hangs = True
        joint = self.link(servers)
        joint.advance(2)
        joint.client.finish(b"hi\nho\n")
        joint.advance(5)
        self.assertEqual(
            joint.client.value(),
            b"error hi | ann: %s timed out\nerror ho | ann: %s timed out\n" % ((self.WHERE,) * 2),
        )
        self.assertOver(joint)

    def test_aSlowNodeIsNamed(self) -> None:
        joint = self.link(timeout=3.0)
        joint.client.write(b"hi\nho\n")
        joint.settle()
        joint.advance(2.9)
        joint.server.write(b"ack hi\n")
        joint.advance(2.9)
        self.assertEqual(joint.client.value(), b"ack hi\n")
        joint.advance(0.2)
        self.assertEqual(
            joint.client.value(), b"ack hi\nerror ho | ann: %s timed out\n" % self.WHERE
        )
        self.assertTrue(joint.server.wasReset)
        self.assertTrue(joint.client.connected)

    def test_whatItSaysTooLateIsNotHeard(self) -> None:
        joint = self.link()
        joint.client.write(b"hi\n")
        joint.advance(5.1)
        slow = joint.server
        joint.client.write(b"ho\n")
        joint.settle()
        slow.write(b"ack hi\n")
        joint.server.write(b"ack ho\n")
        joint.settle()
        self.assertEqual(joint.client.value().splitlines()[1:], [b"ack ho"])

    def test_aNodeThatDiesIsNamed(self) -> None:
        for die, how in (("finish", b"closed"), ("reset", b"reset")):
            joint = self.link()
            joint.client.write(b"hi\nho\n")
            joint.settle()
            joint.server.write(b"ack hi\n")
            joint.settle()
            getattr(joint.server, die)()
            self.assertEqual(
                joint.told(joint.client), b"ack hi\nerror ho | ann: %s %s\n" % (self.WHERE, how)
            )
            self.assertTrue(joint.client.connected)
            joint.client.finish()
            joint.advance(3)
            self.assertOver(joint)

    def test_aNodeThatGoesWhileNothingWaitsIsCalledAgain(self) -> None:
        for die in ("finish", "reset"):
            joint = self.link()
            getattr(joint.server, die)()
            joint.settle()
            self.assertEqual(joint.client.value(), b"")
            joint.client.write(b"hi\n")
            joint.settle()
            self.assertEqual(len(joint.servers.peers), 2)
            self.assertEqual(joint.told(joint.server), b"hi | ann\n")

    def test_nodesBehindArePatientLess(self) -> None:
        patience = []
        for message in (b"hi", b"hi | one", b"hi | one | two"):
            joint = self.link()
            joint.client.write(message + b"\n")
            joint.settle()
            while joint.client.value() == b"":
                joint.advance(0.02)
            patience.append(joint.client.clock.seconds())
        for first, second in pairwise(patience):
            self.assertLess(second, first - 0.4)

    def test_ofALongMessageTheBeginningAndTheEndAreQuoted(self) -> None:
        servers = Servers()
        servers.refuses = True
        joint = self.link(servers)
        joint.client.write(b"hello" * 1000 + b"\n")
        said = joint.told(joint.client)
        self.assertTrue(said.startswith(b"error hellohello"))
        self.assertIn(b"...", said)
        self.assertTrue(said.endswith(b"hello | ann: tcp:10.0.0.7:50544 refused\n"))
        self.assertLess(len(said), 500)

    def test_anErrorFromBehindIsAnAnswerLikeAnyOther(self) -> None:
        joint = self.link()
        joint.client.write(b"hi\n")
        joint.settle()
        joint.server.write(b"error hi | ann | bob: tcp:carl:1 refused\n")
        self.assertEqual(joint.told(joint.client), b"error hi | ann | bob: tcp:carl:1 refused\n")
        joint.advance(10)
        self.assertTrue(joint.server.connected)


class StreamTests(Linking):
    """Programs that send no newline."""

    def streaming(self, servers: Servers | None = None) -> Joint:
        return self.link(servers, framing=Stream)

    def test_whatOneReadBringsIsAMessage(self) -> None:
        joint = self.streaming()
        joint.client.write(b"Hello, world!")
        self.assertEqual(joint.told(joint.server), b"Hello, world! | ann")
        joint.server.write(b"Hello, world! | ann")
        self.assertEqual(joint.told(joint.client), b"Hello, world! | ann")
        joint.client.finish()
        joint.settle()
        self.assertTrue(joint.server.ended)
        joint.server.finish()
        joint.settle()
        self.assertOver(joint)

    def test_aGreetingIsPassedOn(self) -> None:
        joint = self.streaming()
        joint.server.write(b"You are connected!")
        self.assertEqual(joint.told(joint.client), b"You are connected!")

    def test_anAnswerInTwoPiecesIsPassedOn(self) -> None:
        joint = self.streaming()
        joint.client.write(b"hi")
        joint.settle()
        joint.server.write(b"Hel")
        joint.settle()
        joint.server.write(b"lo")
        self.assertEqual(joint.told(joint.client), b"Hello")

    def test_theEndIsPassedOn(self) -> None:
        joint = self.streaming()
        joint.server.finish(b"that is all")
        self.assertEqual(joint.told(joint.client), b"that is all")
        self.assertTrue(joint.client.ended)
        joint.client.finish()
        joint.settle()
        self.assertOver(joint)

    def test_aNodeThatDiesIsNamed(self) -> None:
        for die, how in (("finish", b"closed"), ("reset", b"reset")):
            joint = self.streaming()
            joint.client.write(b"hi")
            joint.settle()
            getattr(joint.server, die)()
            self.assertEqual(joint.told(joint.client), b"error hi | ann: tcp:10.0.0.7:50544 " + how)
            self.assertTrue(joint.client.ended)
            joint.client.finish()
            joint.advance(3)
            self.assertOver(joint)

    def test_aNodeThatGoesOnForEverIsNotWaitedFor(self) -> None:
        joint = self.streaming()
        joint.client.finish(b"hi")
        joint.settle()
        joint.server.write(b"ho")
        joint.advance(4.9)
        self.assertFalse(joint.client.ended)
        joint.advance(0.2)
        self.assertTrue(joint.client.ended)
        self.assertOver(joint)

    def test_aRefusedLinkIsToldToo(self) -> None:
        servers = Servers()
        servers.refuses = True
        joint = self.streaming(servers)
        joint.client.finish(b"hi")
        self.assertEqual(joint.told(joint.client), b"error hi | ann: tcp:10.0.0.7:50544 refused")
        self.assertOver(joint)


class DrainTests(Linking):
    def test_whatIsUnderWayIsAnswered(self) -> None:
        for framing, say, answer in ((Lines, b"hi\n", b"ack hi\n"), (Stream, b"hi", b"ho")):
            joint = self.link(framing=framing)
            joint.client.write(say)
            joint.settle()
            joint.client.listener.drain()
            joint.advance(3)
            self.assertFalse(joint.client.ended)
            joint.server.write(answer)
            self.assertEqual(joint.told(joint.client), answer)
            self.assertTrue(joint.client.ended)
            joint.client.finish()
            joint.server.finish()
            joint.settle()
            self.assertOver(joint)

    def test_whereNothingIsItEnds(self) -> None:
        for framing in (Lines, Stream):
            joint = self.link(framing=framing)
            joint.client.listener.drain()
            joint.advance(2.1)
            self.assertTrue(joint.client.ended)
            joint.advance(3)
            self.assertOver(joint)


class SettingsTests(SynchronousTestCase):
    def refused(self, **words: Any) -> str:
        return str(self.assertRaises(TypeError, ConversationFactory, Relay, **words))

    def test_theyAreRefusedAtOnceIfTheyMakeNoSense(self) -> None:
        self.assertIn("add name=NAME", self.refused())
        self.assertIn("add name=NAME", self.refused(name="a\nb"))
        self.assertIn("did you mean tcp:bob:1?", self.refused(name="ann", next="bob:1"))
        self.assertIn("above 0", self.refused(name="ann", timeout=0.0))


class OrderTests(Linking):
    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(
        st.sampled_from((Lines, Netstrings)),
        st.lists(
            st.sampled_from(("say", "answer", "finish", "reset", "refuse", "wait")), max_size=40
        ),
    )
    def test_eachMessageIsAnsweredOnceAndInOrder(self, framing: Any, steps: list[str]) -> None:
        joint = self.link(framing=framing)
        said = 0
        taken: dict[Any, Any] = {}
        for step in steps:
            server = joint.server
            if step == "say":
                joint.client.write(framing.frame(b"%d" % said))
                said += 1
            elif step == "wait":
                joint.advance(2)
            elif step == "refuse":
                joint.servers.refuses = not joint.servers.refuses
            elif step == "answer" and server.connected:
                heard = taken.setdefault(server, framing())
                heard.feed(server.value())
                server.clear()
                if (message := heard.next()) is not None:
                    server.write(framing.frame(b"ack " + message))
            elif step != "answer" and server.connected:
                getattr(server, step)()
            joint.settle()
        joint.client.finish()
        joint.advance(6)
        answers = framing()
        answers.feed(joint.client.value())
        numbers = []
        while (answer := answers.next()) is not None:
            numbers.append(int(answer.split()[1]))
        self.assertEqual(numbers, list(range(said)))
        self.assertTrue(joint.client.ended)
