"""Tests for ``examples/ask.py``."""

from __future__ import annotations

import contextlib
import io

from tcplab.protocols import PeerSilent
from tcplab.testing import connected
from tests.support.terminal_input import Typed, example


class AskTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        self.assertEqual(self.typed("ask", b""), ["What is your name?\nHello, Ada!\n"])
        self.assertIn("Got the message:Ada", self.log())

    def test_itAnswersTheQuestionAndReturnsWhatComesThen(self) -> None:
        ask, shown = example("ask").Ask(b"Ada"), io.StringIO()
        peer = connected(ask)
        self.assertEqual(peer.value(), b"")
        with contextlib.redirect_stdout(shown):
            peer.write(b"Who?\n")
        self.assertEqual((shown.getvalue(), peer.value()), ("Who?\n", b"Ada\n"))
        peer.finish(b"Welcome\n")
        self.assertEqual(self.successResultOf(ask.whenFinished()), b"Welcome")

    def test_aSilentServerIsAFailure(self) -> None:
        ask = example("ask").Ask(b"Ada")
        peer = connected(ask)
        finished = ask.whenFinished()
        peer.clock.advance(5)
        peer.finish()
        self.failureResultOf(finished, PeerSilent)
