"""Tests for `tcplab.faults.dice`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.dice import Dice, randomSeed


class DiceTests(SynchronousTestCase):
    """The same seed, the same rolls."""

    def test_repeat(self) -> None:
        """In whatever order they are rolled."""
        forwards = [Dice(7, "latency", 1).integer(10**6, n) for n in range(50)]
        dice = Dice(7, "latency", 1)
        self.assertEqual([dice.integer(10**6, n) for n in reversed(range(50))], forwards[::-1])

    def test_known(self) -> None:
        """A seed that was noted down years ago still repeats."""
        self.assertEqual([Dice(1, "x").integer(1000, n) for n in range(4)], [854, 816, 558, 216])

    def test_apart(self) -> None:
        """Another seed, fault, connection or direction rolls otherwise."""
        keys = ((1, "a", 1, "up"), (2, "a", 1, "up"), (1, "b", 1, "up"), (1, "a", 2, "up"))
        rolled = {Dice(*key).integer(2**40) for key in (*keys, (1, "a", 1, "down"))}
        self.assertEqual(len(rolled), 5)

    def test_fair(self) -> None:
        dice = Dice(3)
        rolled = [dice.integer(6, n) for n in range(6000)]
        self.assertEqual(set(rolled), set(range(6)))
        self.assertTrue(all(800 < rolled.count(side) < 1200 for side in range(6)))
        fractions = [dice.fraction(n) for n in range(1000)]
        self.assertTrue(all(0 <= each < 1 for each in fractions))
        self.assertTrue(450 < sum(fractions) < 550)

    def test_manySides(self) -> None:
        """As many as a long stream has bytes."""
        self.assertTrue(any(Dice(n).integer(2**50) > 2**49 for n in range(20)))

    def test_chosen(self) -> None:
        self.assertGreater(len({randomSeed() for _ in range(10)}), 1)
