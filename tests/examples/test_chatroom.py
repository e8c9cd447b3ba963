"""Tests for ``examples/chatroom.py``."""

from __future__ import annotations

from typing import Any

from tcplab.testing import Peer, checkBehaviour, connected
from tests.support.terminal_input import Typed, example


def entered(room: Any, name: bytes) -> Peer:
    peer = connected(room)
    peer.write(name + b"\n")
    peer.clear()
    return peer


def heard(peer: Peer) -> bytes:
    """Let a member read what others have caused."""
    peer.clock.advance(0)
    return peer.value()


class ChatRoomTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        said = self.typed("chatroom", b"Ann\nhello\n", b"Bob\n")
        self.assertEqual(
            said,
            [
                "What is your name?\nAnn is here\nAnn: hello\n",
                "What is your name?\nBob is here\n",
            ],
        )
        self.assertIn("[Member,2,127.0.0.1] server: got connection", self.log())

    def test_everybodyHearsEverybody(self) -> None:
        room = example("chatroom").ChatRoom()
        ann, bob = entered(room, b"Ann"), entered(room, b"Bob")
        bob.write(b"hello\n")
        self.assertEqual(bob.value(), b"Bob: hello\n")
        self.assertEqual(heard(ann), b"Bob is here\nBob: hello\n")
        bob.reset()
        self.assertEqual(heard(ann), b"Bob is here\nBob: hello\nBob has gone\n")
        self.assertEqual(len(room.members), 1)

    def test_whoHasNoNameIsNotInTheRoom(self) -> None:
        room = example("chatroom").ChatRoom()
        ann, nameless = entered(room, b"Ann"), connected(room)
        nameless.write(b"\n")
        nameless.finish()
        self.assertEqual(heard(ann), b"")
        self.assertEqual(heard(nameless), b"What is your name?\n")

    def test_longNamesAndMessagesAreCutAndHarmNobody(self) -> None:
        room = example("chatroom").ChatRoom()
        ann, bob = entered(room, b"Ann"), entered(room, b"B" * 60_000)
        bob.write(b"x" * 60_000 + b"\n")
        self.assertEqual(heard(ann), b"%s is here\n%s: %s\n" % (b"B" * 20, b"B" * 20, b"x" * 1000))
        self.assertTrue(bob.connected)

    def test_aMemberThatDoesNotReadIsBoundedAndHurtsNobody(self) -> None:
        room = example("chatroom").ChatRoom(maxUnsent=100_000)
        deaf, ann, bob = entered(room, b"Deaf"), entered(room, b"Ann"), entered(room, b"Bob")
        deaf.reading = False
        said = b"x" * 1000 + b"\n"
        while deaf.connected:
            bob.write(said)
            self.assertLess(len(heard(ann)), 500_000, "nobody has stopped it")
            heard(deaf)
        assert deaf.ending is not None
        self.assertEqual(deaf.ending.why, "unread")
        # 64 KiB in the kernel's stead, 64 KiB before it counts as congested, and the bound.
        self.assertLess(bob.value().count(said), 250)
        bob.write(b"still here\n")
        self.assertTrue(heard(ann).endswith(b"Deaf has gone\nBob: still here\n"))
        self.assertEqual(ann.value().count(said), bob.value().count(said))

    def test_itKeepsItsManners(self) -> None:
        told = b"What is your name?\nAnn is here\nAnn: hello\n"
        checkBehaviour(self, example("chatroom").ChatRoom(), b"Ann\nhello", told)
