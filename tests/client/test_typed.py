"""Tests for `tcplab.client.typed`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.outcomes import Outcome
from tcplab.client.prompt import PROMPT, Prompt
from tcplab.client.typed import TypedCall
from tcplab.testing import connected
from tests.client.calling import MemoryConsole, outcome


class TypedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[bytes] = []
        self.call = TypedCall(
            Clock(),
            MemoryConsole(),  # type: ignore[arg-type]
            5.0,
            Prompt(),
            self.asked.append,
        )
        self.peer = connected(self.call)

    def test_itAsksAtOnceWhateverTheServerSays(self) -> None:
        self.assertEqual(self.asked, [PROMPT])

    def test_aLineIsSentWithItsNewlineAndTheNextIsAskedFor(self) -> None:
        self.call.typed(b"hi\n")
        self.assertEqual(self.peer.value(), b"hi\n")
        self.assertEqual(self.asked, [PROMPT, PROMPT])

    def test_aLineWithoutItsEndIsSentButNotAskedFor(self) -> None:
        self.call.typed(b"h")
        self.assertEqual(self.peer.value(), b"h")
        self.assertEqual(self.asked, [PROMPT])

    def test_theEndOfTypingLeavesThePromptsLineAndReadsToTheEnd(self) -> None:
        self.call.inputFinished()
        self.assertEqual(self.asked, [PROMPT, b"\n"])
        self.assertTrue(self.peer.ended)
        self.peer.finish()
        self.assertIs(outcome(self.call), Outcome.OK)

    def test_whenTheServerFinishesNobodyIsKeptTyping(self) -> None:
        self.peer.finish()
        self.assertTrue(self.peer.ended)
        self.assertIs(outcome(self.call), Outcome.OK)
