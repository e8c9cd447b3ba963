"""Tests for ``examples/slide.py``."""

from __future__ import annotations

from tcplab.protocols import PeerFinished
from tcplab.testing import connected
from tests.support.terminal_input import Typed, example


class SlideTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        self.assertEqual(self.typed("slide", b""), ["b'Hello, world!'\n"])

    def test_anAnswerInPiecesIsReadWhole(self) -> None:
        slide = example("slide").Slide()
        peer = connected(slide)
        self.assertEqual(peer.value(), b"Hello, world!")
        for piece in (b"Hello", b", wor"):
            peer.write(piece)
            self.assertFalse(peer.ended)
        peer.finish(b"ld!")
        self.assertEqual(self.successResultOf(slide.whenFinished()), b"Hello, world!")

    def test_anAnswerCutShortIsAFailure(self) -> None:
        slide = example("slide").Slide()
        connected(slide).finish(b"Hello")
        self.failureResultOf(slide.whenFinished(), PeerFinished)
