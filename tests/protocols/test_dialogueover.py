"""Tests for `tcplab.protocols.dialogueover`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.dialogueover import DialogueOver, Draining, PeerFinished, PeerSilent


class FamilyTests(SynchronousTestCase):
    """One name catches them all, and nothing else."""

    def test_family(self) -> None:
        """Each is a DialogueOver, and no kind of another."""
        kinds = (Draining, PeerFinished, PeerSilent)
        for kind in kinds:
            self.assertTrue(issubclass(kind, DialogueOver))
            self.assertEqual([each for each in kinds if issubclass(kind, each)], [kind])
        self.assertEqual(DialogueOver.__mro__[1], Exception)
