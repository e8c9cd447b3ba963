"""Tests for `tcplab.client.prompt`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.display import ForTerminal
from tcplab.client.prompt import PROMPT, Prompt, Prompted


class PromptTests(SynchronousTestCase):
    def test_itAsksAsTheTextbookDoes(self) -> None:
        self.assertEqual(Prompt().ask(), b"What message for the server? : ")

    def test_whatComesTakesItsPlaceAndItStandsBelow(self) -> None:
        prompt = Prompt()
        prompt.ask()
        self.assertEqual(prompt.around(b"hello\n"), b"\r\x1b[Khello\n" + PROMPT)

    def test_textWithoutANewlineGetsOne(self) -> None:
        prompt = Prompt()
        prompt.ask()
        self.assertEqual(prompt.around(b"hello"), b"\r\x1b[Khello\n" + PROMPT)

    def test_aTerminalThatCannotEraseGetsANewLine(self) -> None:
        prompt = Prompt(erases=False)
        prompt.ask()
        self.assertEqual(prompt.around(b"hello\n"), b"\nhello\n" + PROMPT)

    def test_nothingIsDoneForNothing(self) -> None:
        prompt = Prompt()
        prompt.ask()
        self.assertEqual(prompt.around(b""), b"")

    def test_beforeItAsksNothingIsAdded(self) -> None:
        self.assertEqual(Prompt().around(b"hello"), b"hello")

    def test_afterItsEndNothingIsAsked(self) -> None:
        prompt = Prompt()
        prompt.ask()
        self.assertEqual(prompt.finish(), b"\n")
        self.assertEqual(prompt.around(b"hello"), b"hello")
        self.assertEqual(prompt.finish(), b"")


class PromptedTests(SynchronousTestCase):
    def test_whatIsShownIsWhatTheDisplayBelowShows(self) -> None:
        prompt = Prompt()
        prompt.ask()
        display = Prompted(ForTerminal(), prompt)
        self.assertEqual(display.feed(b"\x07\r"), b"\r\x1b[K\\x07\n" + PROMPT)
        self.assertEqual(display.finish(), b"\r\x1b[K\\r\n" + PROMPT)
