"""Tests for the examples' protocols in memory."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols import ConversationFactory, PeerFinished, PeerSilent
from tcplab.testing import Peer, checkBehaviour, connected
from tests.support.terminal_input import example

QUESTION = b"What is your name?\n"


class ConformanceTests(SynchronousTestCase):
    """The kit of `tcplab.testing`, as the examples' users would call it."""

    def test_conversations(self) -> None:
        room = example("chatroom").ChatRoom()
        recipes = ConversationFactory(example("recipe").Recipe)
        shouts = ConversationFactory(example("shout").Shout)
        for factory, said, answer in (
            (room, b"Ann\nhello", QUESTION + b"Ann is here\nAnn: hello\n"),
            (recipes, b"Ada", QUESTION + b"Hello, Ada!\n"),
            (shouts, b"hi\nthere", b"say something\nHI\nTHERE\n"),
        ):
            checkBehaviour(factory, said, answer)


class AskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ask = example("ask").Ask(b"Ada")
        self.peer = connected(self.ask)

    def test_answers(self) -> None:
        shown = io.StringIO()
        self.assertEqual(self.peer.value(), b"")
        with contextlib.redirect_stdout(shown):
            self.peer.write(b"Who?\n")
        self.assertEqual((shown.getvalue(), self.peer.value()), ("Who?\n", b"Ada\n"))
        self.peer.finish(b"Welcome\n")
        self.assertEqual(self.successResultOf(self.ask.whenFinished()), b"Welcome")

    def test_silentServer(self) -> None:
        finished = self.ask.whenFinished()
        self.peer.clock.advance(5)
        self.peer.finish()
        self.failureResultOf(finished, PeerSilent)


class ChatRoomTests(SynchronousTestCase):
    def enter(self, *names: bytes, **settings: Any) -> list[Peer]:
        """Make a room, and its members."""
        self.room = example("chatroom").ChatRoom(**settings)
        peers = [connected(self.room) for _ in names]
        for peer, name in zip(peers, names, strict=True):
            peer.write(name + b"\n")
            peer.clear()
        return peers

    def heard(self, peer: Peer) -> bytes:
        """Let a member read what others have caused."""
        peer.clock.advance(0)
        return peer.value()

    def test_messagesAndDeparture(self) -> None:
        ann, bob = self.enter(b"Ann", b"Bob")
        bob.write(b"hello\n")
        self.assertEqual(bob.value(), b"Bob: hello\n")
        self.assertEqual(self.heard(ann), b"Bob is here\nBob: hello\n")
        bob.reset()
        self.assertEqual(self.heard(ann), b"Bob is here\nBob: hello\nBob has gone\n")
        self.assertEqual(len(self.room.members), 1)

    def test_noName(self) -> None:
        [ann] = self.enter(b"Ann")
        nameless = connected(self.room)
        nameless.write(b"\n")
        nameless.finish()
        self.assertEqual((self.heard(ann), self.heard(nameless)), (b"", QUESTION))

    def test_longNamesAndMessagesAreCut(self) -> None:
        ann, bob = self.enter(b"Ann", b"B" * 60_000)
        bob.write(b"x" * 60_000 + b"\n")
        name = b"B" * 20
        self.assertEqual(self.heard(ann), b"%s is here\n%s: %s\n" % (name, name, b"x" * 1000))
        self.assertTrue(bob.connected)

    def test_memberThatDoesNotRead(self) -> None:
        deaf, ann, bob = self.enter(b"Deaf", b"Ann", b"Bob", maxUnsent=100_000)
        deaf.reading = False
        said = b"x" * 1000 + b"\n"
        while deaf.connected:
            bob.write(said)
            self.assertLess(len(self.heard(ann)), 500_000, "the connection is not aborted")
            self.heard(deaf)
        assert deaf.ending is not None
        self.assertEqual(deaf.ending.why, "unread")
        # 64 KiB in the kernel's stead, 64 KiB before it counts as congested, and the bound.
        self.assertLess(bob.value().count(said), 250)
        bob.write(b"still here\n")
        self.assertTrue(self.heard(ann).endswith(b"Deaf has gone\nBob: still here\n"))
        self.assertEqual(ann.value().count(said), bob.value().count(said))


class MailTests(SynchronousTestCase):
    def test_everyCommandHasItsAnswer(self) -> None:
        peer = connected(example("mail").Mail())
        for said, code in (
            (b"", b"220 "),
            (b"EHLO me\r\n", b"250-"),
            (b"mail from:<a@b>\r\n", b"250 "),
            (b"STARTTLS\r\n", b"454 "),
            (b"\r\n", b"500 "),
            (b"DATA\r\n", b"354 "),
            (b"one\r\ntwo\r\n.\r\n", b"250 2 lines"),
            (b"QUIT\r\n", b"221 "),
        ):
            peer.write(said)
            self.assertEqual(peer.value()[: len(code)], code, said)
            peer.clear()
        self.assertTrue(peer.ended)


class PlainTests(SynchronousTestCase):
    """A Protocol of Twisted's own, with what it lacks."""

    def setUp(self) -> None:
        self.peer = connected(example("plain").Plain())

    def test_observed(self) -> None:
        self.peer.write(b"abc")
        self.peer.write(b"de")
        self.assertEqual(self.peer.value(), b"3 bytes so far\n5 bytes so far\n")
        self.peer.finish()
        assert self.peer.ending is not None
        self.assertEqual((self.peer.ending.by, self.peer.ending.received), ("peer", 5))

    def test_finLosesWhatIsUnsent(self) -> None:
        self.peer.reading, self.peer.window = False, 4
        self.peer.finish(b"abc")
        self.peer.resume()
        self.assertEqual((self.peer.value(), self.peer.connected), (b"3 by", False))

    def test_closedByDrain(self) -> None:
        self.peer.listener.drain()
        self.peer.clock.advance(0)
        self.assertTrue(self.peer.ended)


class RecipeTests(SynchronousTestCase):
    def test_piecesAndSilence(self) -> None:
        peer = connected(example("recipe").Recipe())
        peer.write(b"A")
        self.assertEqual(peer.value(), QUESTION)
        peer.write(b"da\n")
        self.assertEqual(peer.value(), QUESTION + b"Hello, Ada!\n")
        self.assertEqual((peer.ended, peer.messages), (True, [b"Ada"]))
        silent = connected(example("recipe").Recipe())
        silent.clock.advance(59)
        self.assertFalse(silent.ended)
        silent.clock.advance(1)
        self.assertEqual(silent.value(), QUESTION + b"Hello, stranger!\n")
        self.assertTrue(silent.ended)


class SlideTests(SynchronousTestCase):
    def test_answerInPieces(self) -> None:
        slide = example("slide").Slide()
        peer = connected(slide)
        self.assertEqual(peer.value(), b"Hello, world!")
        for piece in (b"Hello", b", wor"):
            peer.write(piece)
            self.assertFalse(peer.ended)
        peer.finish(b"ld!")
        self.assertEqual(self.successResultOf(slide.whenFinished()), b"Hello, world!")

    def test_answerCutShort(self) -> None:
        slide = example("slide").Slide()
        connected(slide).finish(b"Hello")
        self.failureResultOf(slide.whenFinished(), PeerFinished)
