"""Tests for `tcplab.policies.faults.standing`; `tests.policies.faults.test_faults` has more."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.faults.spec import FaultError, parseFault
from tcplab.policies.faults.standing import Register


def register(*texts: str, seed: int | None = 1) -> Register:
    made = Register(seed)
    for text in texts:
        made.add(parseFault(text))
    return made


class RegisterTests(SynchronousTestCase):
    """The faults that stand, and whom they hit."""

    def test_counts(self) -> None:
        """Each fault counts the connections of its own listeners, and from when it was added."""
        made = register("stall,conn=2", "stall@a")
        self.assertEqual(made.arriving("a", 1), ["stall-2"])
        self.assertEqual(made.add(parseFault("stall,conn=1@b")), "stall-3")
        self.assertEqual(made.arriving("b", 1), ["stall", "stall-3"])
        self.assertEqual(made.arriving("a", 2), ["stall-2"])

    def test_doors(self) -> None:
        """Those of a listener hit no connection."""
        self.assertEqual(register("refuse", "hang").arriving("a", 1), [])

    def test_dice(self) -> None:
        """Whom a fault hits does not hang on what else stands, nor on who came before."""
        text = "reset_peer,probability=0.5"
        alone = [bool(register(text).arriving("a", number)) for number in range(30)]
        among = register("stall", text, "corrupt,every=1B")
        together = ["reset_peer" in among.arriving("a", number) for number in reversed(range(30))]
        self.assertEqual(alone, together[::-1])
        self.assertEqual(set(alone), {True, False})

    def test_removed(self) -> None:
        made = register("stall", "hang")
        made.remove("stall")
        self.assertEqual([name for name, _ in made], ["hang"])
        self.assertEqual(made["hang"].text, "hang")
        made.remove("hang")
        error = self.assertRaises(FaultError, made.remove, "hang")
        self.assertEqual(str(error), "there is no fault named 'hang'; there are: none at all")

    def test_seed(self) -> None:
        """One is chosen as soon as dice are rolled, not before."""
        made = register("stall", seed=None)
        self.assertIsNone(made.seed)
        made.add(parseFault("stall,probability=0.5"))
        self.assertIsNotNone(made.seed)
        self.assertEqual(register(seed=7).seed, 7)
