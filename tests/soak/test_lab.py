"""Tests for ``soak.lab``: a server that runs, and one that does not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from soak.lab import ACCIDENT, Lab, Start, State, Trouble, serving, settled
from soak.talk import connected, echoed
from tests.support.subprocess_server import scratch
from tests.support.tiers import processes

ECHO = Start(("--port", "0", "--behaviour", "echo"))


@processes
class LabTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = scratch(self)

    def test_itServesAndEnds(self) -> None:
        with serving(ECHO, self.folder) as lab:
            self.assertTrue(echoed(lab.ports["echo"]))
            self.assertEqual(lab.stop(), 0)
            self.assertTrue(lab.ending)
            self.assertEqual(lab.accidents, [])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_itDoesNotOutliveTheWith(self) -> None:
        with serving(ECHO, self.folder) as lab:
            pass
        self.assertFalse(lab.running())
        self.assertFalse(lab.ending)

    def test_connectionsAreSeenFromOutside(self) -> None:
        with serving(ECHO, self.folder) as lab:
            before = State.of(lab)
            with connected(lab.ports["echo"]) as sock:
                sock.sendall(b"x")
                self.assertEqual(sock.recv(1), b"x")
                self.assertEqual(State.of(lab).connections, before.connections + 1)
                self.assertEqual(State.of(lab).descriptors, before.descriptors + 1)
            after = settled(lab, before, 10.0)
        self.assertEqual(
            (after.descriptors, after.connections), (before.descriptors, before.connections)
        )

    def test_whyItDoesNotStartIsTold(self) -> None:
        wrong = Start(("--behaviour", "no-such-behaviour"))
        error = self.assertRaises(Trouble, Lab, wrong, self.folder)
        self.assertIn("no-such-behaviour", str(error))

    def test_accidentsAreFoundAndNamed(self) -> None:
        with serving(ECHO, self.folder) as lab:
            lab.kill()  # which may be about to write its own
            lab._logFile.write_text(
                "2026 [-] fine\n2026 [-] Unhandled Error\n\tTraceback (most recent call last):\n"
                '\t  File "x.py", line 1, in x\n\tbuiltins.ValueError: oh\n\t\n2026 [-] fine\n'
            )
            self.assertEqual(lab.accidents, ["builtins.ValueError: oh"] * 2)
        self.assertTrue(ACCIDENT.search("Traceback (most recent call last):"))
