"""Tests for `tcplab.faults.stage`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.stage import BufferingStage, End, Stage


class Out(list[Any]):
    """Keeps what comes."""

    feed = end = list.append


class StageTests(SynchronousTestCase):
    """What stages have in common."""

    def made(self, kind: type[Stage]) -> tuple[Any, Any]:
        nothing: Any = None
        stage: Any = kind(nothing)
        stage.out = Out()
        return stage, stage.out

    def test_passes(self) -> None:
        """A stage that does nothing special."""
        stage, out = self.made(Stage)
        stage.begin()
        stage.feed(b"a", 0)
        stage.end(End.FINISH)
        stage.release()
        self.assertEqual(out, [b"a", End.FINISH])
        self.assertEqual((stage.held, stage.blocked, stage.discards), (0, False, False))

    def test_holding(self) -> None:
        """Bytes in their order, then the end, and the worst of several."""
        stage, out = self.made(BufferingStage)
        stage.feed(b"abc", 0)
        stage.end(End.FINISH)
        stage.end(End.RESET)
        stage.releaseBytes(2)
        self.assertEqual((list(out), stage.held), ([b"ab"], 1))
        stage.release()
        stage.release()
        self.assertEqual(out, [b"ab", b"c", End.RESET])
