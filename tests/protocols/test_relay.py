"""Tests for `tcplab.protocols.relay`."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tcplab.protocols import ConversationFactory, Lines, Netstrings, Relay, Stream
from tcplab.testing import checkBehaviour, connected
from tests.support.memory_servers import Joining, Joint, Servers

WHERE = b"tcp:10.0.0.7:50544"


def link(servers: Servers | None = None, **settings: Any) -> Joint:
    """Connect a client to a node whose next node the test plays."""
    words: Any = {"name": "ann", "next": WHERE.decode(), **settings}
    joint = Joint(ConversationFactory(Relay, **words).buildProtocol(None), servers)
    joint.settle()
    return joint


class LastTests(Joining):
    """A node without a next one."""

    factory = ConversationFactory(Relay, name="bob")

    def test_acknowledges(self) -> None:
        """Every message is reported and answered, in any framing."""
        checkBehaviour(self.factory, b"hi\nho", b"ack hi | bob\nack ho | bob\n")
        peer = connected(self.factory)
        peer.write(b"hi\nho\n")
        self.assertEqual(peer.messages, [b"hi", b"ho"])
        peer = connected(ConversationFactory(Relay, name="bob", framing=Stream))
        peer.write(b"Hello, world!")
        self.assertEqual(peer.value(), b"ack Hello, world! | bob")

    def test_tooLong(self) -> None:
        """A message whose answer would be too long is answered by an error."""
        peer = connected(self.factory)
        peer.write(b"x" * 65_535 + b"\nhi\n")
        first, second, _ = peer.value().split(b"\n")
        self.assertTrue(first.startswith(b"error xxx"))
        self.assertTrue(first.endswith(b"x | bob: a line of 65545 bytes, more than 65536"), first)
        self.assertEqual(second, b"ack hi | bob")


class PassingTests(Joining):
    def test_there(self) -> None:
        """A message goes on with the name; it and its answer, an error or not, are reported."""
        for answer in (b"ack hi | ann", b"error hi | ann | bob: tcp:carl:1 refused"):
            joint = link()
            joint.send(joint.client, b"hi\n")
            self.assertEqual(joint.server.value(), b"hi | ann\n")
            joint.send(joint.server, answer + b"\n")
            self.assertEqual(joint.client.value(), answer + b"\n")
            self.assertEqual(joint.client.messages, [b"hi", answer])

    def test_oneConnection(self) -> None:
        """One connection serves for many messages, and for as long as the client stays."""
        joint = link()
        for number in range(1000):
            joint.client.write(b"%d\n" % number)
            joint.send(joint.server, b"ack %d\n" % number)
        joint.advance(10)
        self.assertEqual((len(joint.servers.peers), joint.server.connected), (1, True))
        self.assertEqual(joint.client.value().count(b"ack"), 1000)
        self.assertEqual(joint.server.value().count(b" | ann\n"), 1000)

    def test_beforeTheNextNodeIsConnected(self) -> None:
        """Messages and FIN wait; with more than 64 KiB of them, reading stops."""
        servers = Servers(hangs=True)
        joint = link(servers)
        joint.client.finish(b"hi\nho\nlast")
        joint.settle()
        servers.answer()
        self.assertEqual(joint.told(joint.server), b"hi | ann\nho | ann\nlast | ann\n")
        servers = Servers(hangs=True)
        joint = link(servers)
        joint.client.write((b"x" * 60_000 + b"\n") * 50)
        joint.settle()
        self.assertLess(joint.client.transport.received, 300_000)
        servers.answer()
        self.assertEqual(joint.told(joint.server).count(b"\n"), 50)

    def test_atMostAHundredWait(self) -> None:
        """With so many messages unanswered, reading stops."""
        joint = link()
        joint.client.write(b"hi\n" * 250)
        for answered, passed in ((100, 100), (100, 200), (50, 250)):
            self.assertEqual(joint.told(joint.server).count(b"\n"), passed)
            joint.server.write(b"ack\n" * answered)
        self.assertEqual(joint.told(joint.client).count(b"\n"), 250)

    def test_clientThatDoesNotRead(self) -> None:
        """The next node is not read either."""
        joint = link()
        joint.client.reading = False
        for _ in range(100):
            joint.send(joint.client, b"hi\n")
            joint.send(joint.server, b"x" * 60_000 + b"\n")
        self.assertLess(joint.server.transport.received, 400_000)
        joint.client.resume()
        self.assertEqual(joint.told(joint.client).count(b"x\n"), 100)

    def test_end(self) -> None:
        """FIN is passed on; the client's connection closes when all is answered."""
        joint = link()
        joint.client.finish(b"hi\nho")
        joint.settle()
        self.assertTrue(joint.server.ended)
        joint.send(joint.server, b"ack hi\n")
        self.assertFalse(joint.client.ended)
        joint.server.finish(b"ack ho\n")
        self.assertEqual(joint.told(joint.client), b"ack hi\nack ho\n")
        self.assertTrue(joint.client.ended)
        self.assertOver(joint)
        joint = link()
        joint.finish(joint.client)  # without a message
        self.assertTrue(joint.client.ended)
        joint.finish(joint.server)
        self.assertOver(joint)

    def test_reset(self) -> None:
        """A reset is passed on."""
        joint = link()
        joint.client.write(b"hi\n")
        joint.reset(joint.client)
        self.assertTrue(joint.server.wasReset)
        self.assertOver(joint)

    def test_greeting(self) -> None:
        """The client is greeted once, by this node; the next one's greeting is no answer."""
        hello = b"You are connected!"
        for servers in (Servers(), Servers(hangs=True)):
            joint = link(servers, greeting=hello)
            self.assertEqual(joint.client.value(), hello + b"\n")
            joint.client.finish(b"hi\n")
            servers.answer()
            joint.settle()
            joint.send(joint.server, hello + b"\n")
            self.assertFalse(joint.client.ended)
            joint.finish(joint.server)
            error = b"error hi | ann: %s closed\n" % WHERE
            self.assertEqual(joint.client.value(), hello + b"\n" + error)
        for said, passed in (
            (hello + b"\nack hi\n" + hello + b"\n", b"ack hi\n" + hello + b"\n"),
            (hello, hello + b"\n"),  # the printed server's answer: no line, and the end
        ):
            joint = link(greeting=hello)
            joint.send(joint.client, b"hi\nho\n")
            joint.server.finish(said)
            self.assertTrue(joint.told(joint.client).startswith(hello + b"\n" + passed))

    def test_tooLong(self) -> None:
        """A message that is too long with the name is answered in its turn."""
        joint = link()
        joint.client.write(b"hi\n" + b"x" * 65_535 + b"\nho\n")
        self.assertEqual(joint.told(joint.server), b"hi | ann\nho | ann\n")
        self.assertEqual(joint.client.value(), b"")
        joint.send(joint.server, b"ack hi\n")
        first, second, _ = joint.client.value().split(b"\n")
        self.assertEqual(first, b"ack hi")
        self.assertTrue(second.endswith(b"x | ann: a line of 65541 bytes, more than 65536"), second)
        joint.send(joint.server, b"ack ho\n")
        self.assertTrue(joint.client.value().endswith(b"\nack ho\n"))


class BrokenTests(Joining):
    """The next node fails: the error names the link."""

    def test_refused(self) -> None:
        """The next message tries again."""
        servers = Servers(refuses=True)
        joint = link(servers, name="bob")
        joint.client.write(b"hi | ann\n")
        error = b"error hi | ann | bob: %s refused\n" % WHERE
        self.assertEqual(joint.told(joint.client), error)
        servers.refuses = False
        joint.send(joint.client, b"ho\n")
        joint.send(joint.server, b"ack ho\n")
        self.assertEqual(joint.client.value(), error + b"ack ho\n")

    def test_notConnected(self) -> None:
        """All waiting messages are answered when the time is over."""
        joint = link(Servers(hangs=True))
        joint.advance(2)
        joint.client.finish(b"hi\nho\n")
        joint.advance(5)
        errors = b"error hi | ann: %s timed out\nerror ho | ann: %s timed out\n"
        self.assertEqual(joint.client.value(), errors % (WHERE, WHERE))
        self.assertOver(joint)

    def test_switchedOff(self) -> None:
        """The node before it answers while all others still wait."""
        joint = link(Servers(hangs=True))
        joint.send(joint.client, b"hi\n")
        joint.advance(4.4)
        self.assertEqual(joint.client.value(), b"")
        joint.advance(0.2)
        self.assertEqual(joint.client.value(), b"error hi | ann: %s timed out\n" % WHERE)

    def test_slow(self) -> None:
        """Each answer has the whole time; one that is too late is dropped."""
        joint = link(timeout=3.0)
        joint.send(joint.client, b"hi\nho\n")
        slow = joint.server
        joint.advance(2.9)
        slow.write(b"ack hi\n")
        joint.advance(2.9)
        self.assertEqual(joint.client.value(), b"ack hi\n")
        joint.advance(0.2)
        answers = b"ack hi\nerror ho | ann: %s timed out\n" % WHERE
        self.assertEqual(joint.client.value(), answers)
        self.assertEqual((slow.wasReset, joint.client.connected), (True, True))
        joint.send(joint.client, b"hey\n")
        joint.send(slow, b"ack ho\n")
        joint.send(joint.server, b"ack hey\n")
        self.assertEqual(joint.client.value(), answers + b"ack hey\n")

    def test_lost(self) -> None:
        """A next node that closes or resets is named, and the next message connects again."""
        for die, how in (("finish", b"closed"), ("reset", b"reset")):
            joint = link()
            joint.send(joint.client, b"hi\nho\n")
            joint.send(joint.server, b"ack hi\n")
            getattr(joint.server, die)()
            answers = b"ack hi\nerror ho | ann: %s %s\n" % (WHERE, how)
            self.assertEqual(joint.told(joint.client), answers)
            joint.send(joint.client, b"hey\n")
            joint.send(joint.server, b"ack hey\n")
            getattr(joint.server, die)()  # while nothing waits: that is no error
            self.assertEqual(joint.told(joint.client), answers + b"ack hey\n")
            joint.send(joint.client, b"last\n")
            self.assertEqual(len(joint.servers.peers), 3)
            self.assertEqual(joint.server.value(), b"last | ann\n")
            joint.client.finish()
            joint.advance(8)
            self.assertOver(joint)

    def test_theTextSteersNothing(self) -> None:
        """Whatever the text is, each node waits for ``timeout`` seconds."""
        for message in (b"hi", b"hi | one | two", b" | ".join([b"col"] * 80)):
            joint = link()
            joint.send(joint.client, message + b"\n")
            joint.advance(4.9)
            self.assertEqual(joint.client.value(), b"")
            joint.advance(0.2)
            error = b"error %s | ann: %s timed out\n" % (message, WHERE)
            self.assertEqual(joint.client.value(), error)

    def test_longMessage(self) -> None:
        """Its beginning and its end are quoted."""
        joint = link(Servers(refuses=True))
        joint.client.write(b"hello" * 1000 + b"\n")
        said = joint.told(joint.client)
        self.assertTrue(said.startswith(b"error hellohello"))
        self.assertIn(b"...", said)
        self.assertTrue(said.endswith(b"hello | ann: %s refused\n" % WHERE))
        self.assertLess(len(said), 1200)


class StreamTests(Joining):
    """For programs that send no newline, one read is a message."""

    def test_there(self) -> None:
        """A greeting and an answer in two pieces are passed on; so is FIN."""
        joint = link(framing=Stream)
        joint.send(joint.server, b"You are connected!")
        joint.send(joint.client, b"Hello, world!")
        self.assertEqual(joint.server.value(), b"Hello, world! | ann")
        joint.send(joint.server, b"Hel", b"lo")
        self.assertEqual(joint.client.value(), b"You are connected!Hello")
        joint.finish(joint.client)
        self.assertTrue(joint.server.ended)
        joint.finish(joint.server)
        self.assertOver(joint)

    def test_end(self) -> None:
        """The end of the next node is the end for the client."""
        joint = link(framing=Stream)
        joint.server.finish(b"that is all")
        self.assertEqual(joint.told(joint.client), b"that is all")
        self.assertTrue(joint.client.ended)
        joint.finish(joint.client)
        self.assertOver(joint)

    def test_lost(self) -> None:
        """A next node that refuses, closes or resets is named, and the connection closes."""
        for die, how in (("finish", b"closed"), ("reset", b"reset"), ("", b"refused")):
            joint = link(None if die else Servers(refuses=True), framing=Stream)
            joint.send(joint.client, b"hi")
            if die:
                getattr(joint.server, die)()
            self.assertEqual(joint.told(joint.client), b"error hi | ann: %s %s" % (WHERE, how))
            joint.client.finish()
            joint.advance(3)
            self.assertTrue(joint.client.ended)
            self.assertOver(joint)

    def test_answerWithoutEnd(self) -> None:
        """After the client's FIN, the next node has ``timeout`` seconds to finish."""
        joint = link(framing=Stream)
        joint.client.finish(b"hi")
        joint.settle()
        joint.server.write(b"ho")
        joint.advance(4.9)
        self.assertFalse(joint.client.ended)
        joint.advance(0.2)
        self.assertTrue(joint.client.ended)
        self.assertOver(joint)


class DrainTests(Joining):
    def test_unanswered(self) -> None:
        """What was passed on is answered first."""
        kinds: Any = ((Lines, b"hi\n", b"ack hi\n"), (Stream, b"hi", b"ho"))
        for framing, say, answer in kinds:
            joint = link(framing=framing)
            joint.send(joint.client, say)
            joint.client.listener.drain()
            joint.advance(3)
            self.assertFalse(joint.client.ended)
            joint.server.write(answer)
            self.assertEqual(joint.told(joint.client), answer)
            self.assertTrue(joint.client.ended)
            joint.finish()
            self.assertOver(joint)

    def test_idle(self) -> None:
        """It closes."""
        for framing in (Lines, Stream):
            joint = link(framing=framing)
            joint.client.listener.drain()
            joint.advance(2.1)
            self.assertTrue(joint.client.ended)
            joint.advance(3)
            self.assertOver(joint)


class SettingsTests(Joining):
    def test_refused(self) -> None:
        """Settings that make no sense are refused at once."""
        for words, advice in (
            ({}, "add name=NAME"),
            ({"name": "a\nb"}, "add name=NAME"),
            ({"name": "ann", "next": "bob:1"}, "did you mean tcp:bob:1?"),
            ({"name": "ann", "timeout": 0.0}, "above 0"),
        ):
            problem = self.assertRaises(TypeError, ConversationFactory, Relay, **words)
            self.assertIn(advice, str(problem))


class OrderTests(Joining):
    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(
        st.sampled_from((Lines, Netstrings)),
        st.lists(
            st.sampled_from(("say", "answer", "finish", "reset", "refuse", "wait")), max_size=40
        ),
    )
    def test_onceAndInOrder(self, framing: Any, steps: list[str]) -> None:
        joint = link(framing=framing)
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
