"""Tests for `tcplab.client.terminal`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.display import ForTerminal
from tcplab.client.result import Outcome
from tcplab.client.terminal import PROMPT, Prompt, PromptedDisplay, TerminalClient
from tcplab.testing import connected
from tests.support.memory_console import MemoryConsole, outcome


class PromptTests(SynchronousTestCase):
    def test_itAsksAsTheTextbookDoes(self) -> None:
        self.assertEqual(Prompt().show(), b"What message for the server? : ")

    def test_whatComesTakesItsPlaceAndItStandsBelow(self) -> None:
        prompt = Prompt()
        prompt.show()
        self.assertEqual(prompt.insert(b"hello\n"), b"\r\x1b[Khello\n" + PROMPT)

    def test_textWithoutANewlineGetsOne(self) -> None:
        prompt = Prompt()
        prompt.show()
        self.assertEqual(prompt.insert(b"hello"), b"\r\x1b[Khello\n" + PROMPT)

    def test_aTerminalThatCannotEraseGetsANewLine(self) -> None:
        prompt = Prompt(erases=False)
        prompt.show()
        self.assertEqual(prompt.insert(b"hello\n"), b"\nhello\n" + PROMPT)

    def test_nothingIsDoneForNothing(self) -> None:
        prompt = Prompt()
        prompt.show()
        self.assertEqual(prompt.insert(b""), b"")

    def test_beforeItAsksNothingIsAdded(self) -> None:
        self.assertEqual(Prompt().insert(b"hello"), b"hello")

    def test_afterItsEndNothingIsAsked(self) -> None:
        prompt = Prompt()
        prompt.show()
        self.assertEqual(prompt.leave(), b"\n")
        self.assertEqual(prompt.insert(b"hello"), b"hello")
        self.assertEqual(prompt.leave(), b"")


class PromptedTests(SynchronousTestCase):
    def test_whatIsShownIsWhatTheDisplayBelowShows(self) -> None:
        prompt = Prompt()
        prompt.show()
        display = PromptedDisplay(ForTerminal(), prompt)
        self.assertEqual(display.feed(b"\x07\r"), b"\r\x1b[K\\x07\n" + PROMPT)
        self.assertEqual(display.finish(), b"\r\x1b[K\\r\n" + PROMPT)


class TypedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[bytes] = []
        self.call = TerminalClient(
            Clock(),
            MemoryConsole(),
            5.0,
            Prompt(),
            self.asked.append,
        )
        self.peer = connected(self.call)

    def test_itAsksAtOnceWhateverTheServerSays(self) -> None:
        self.assertEqual(self.asked, [PROMPT])

    def test_aLineIsSentWithItsNewlineAndTheNextIsAskedFor(self) -> None:
        self.call.inputReceived(b"hi\n")
        self.assertEqual(self.peer.value(), b"hi\n")
        self.assertEqual(self.asked, [PROMPT, PROMPT])

    def test_aLineWithoutItsEndIsSentButNotAskedFor(self) -> None:
        self.call.inputReceived(b"h")
        self.assertEqual(self.peer.value(), b"h")
        self.assertEqual(self.asked, [PROMPT])

    def test_theEndOfTypingLeavesThePromptsLineAndReadsToTheEnd(self) -> None:
        self.call.inputEnded()
        self.assertEqual(self.asked, [PROMPT, b"\n"])
        self.assertTrue(self.peer.ended)
        self.peer.finish()
        self.assertIs(outcome(self.call), Outcome.OK)

    def test_whenTheServerFinishesNobodyIsKeptTyping(self) -> None:
        self.peer.finish()
        self.assertTrue(self.peer.ended)
        self.assertIs(outcome(self.call), Outcome.OK)
