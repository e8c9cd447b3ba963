"""Tests for `tcplab.faults.parse`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.parse import readConn, readProbability
from tcplab.faults.spec import Selection


def chosen(text: str) -> list[int]:
    selection = readConn(text)
    return [number for number in range(1, 10) if selection.includes(number)]


class SelectionTests(SynchronousTestCase):
    """Which connections are meant."""

    def test_conn(self) -> None:
        self.assertEqual(chosen("1-2"), [1, 2])
        self.assertEqual(chosen("3"), [3])
        self.assertEqual(chosen("%3"), [3, 6, 9])
        self.assertEqual(chosen("7-"), [7, 8, 9])

    def test_all(self) -> None:
        """Unless they are counted, those too that were there before the fault."""
        self.assertTrue(Selection().includes(None))
        self.assertTrue(Selection().includes(5))
        self.assertFalse(Selection().counts)
        for counted in (Selection(first=2), Selection(last=1), Selection(every=1)):
            self.assertTrue(counted.counts)
            self.assertFalse(counted.includes(None))

    def test_mistakes(self) -> None:
        for text in ("", "0", "-2", "1-0", "%", "%0", "a", "1-2-3", "1,2", "1 -2", "13%2"):
            self.assertRaises(ValueError, readConn, text)
        self.assertEqual(
            str(self.assertRaises(ValueError, readConn, "3-2")),
            "give the smaller number first, 2-3",
        )

    def test_probability(self) -> None:
        for text, value in (("0", 0), ("1", 1), ("0.1", 0.1), (".5", 0.5), ("1.0", 1)):
            self.assertEqual(readProbability(text), value)
        for text in ("", "2", "1.1", "-0", "10%", "nan", "1e-3"):
            self.assertRaises(ValueError, readProbability, text)
