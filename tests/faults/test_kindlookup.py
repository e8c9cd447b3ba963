"""Tests for `tcplab.faults.kindlookup`; the built-in kinds are in `tests.faults.kinds`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.entrypoints import FAULTS as GROUP
from tcplab.faults import KINDS, FaultError, parseFault
from tcplab.importing import ImportFailed
from tcplab.wire.names import FAULTS
from tests.support.user_modules import install

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
from tcplab.faults import Fault, Stage, integerField

"""
DRIP = """
@dataclass(frozen=True)
class Drip(Fault):
    kind = "drip"
    every: int = integerField(1, 9)

    def __post_init__(self):
        if self.every == 7:
            raise KeyError("seven")

    def stage(self, context):
        return Stage(context)
"""


class OwnKindTests(SynchronousTestCase):
    """Kinds of a user's."""

    def test_found(self) -> None:
        """By the name that a package registers, or by its dotted name."""
        lines = "drip = kind_found:Drip\nlatency = kind_found:Drip"
        install(self, {GROUP: lines}, kind_found=HEAD + DRIP)
        self.assertEqual(list(KINDS), [*FAULTS, "drip"])
        self.assertEqual(len(KINDS), len(FAULTS) + 1)
        for text in ("drip,every=3", "kind_found.Drip,every=3"):
            self.assertEqual(parseFault(text).fault, KINDS["drip"](3))  # type: ignore[call-arg]
        self.assertEqual(KINDS["latency"].__name__, "Latency")
        for text, problem in (
            ("drip", "drip needs every="),
            ("drip,every=0", "give a whole number from 1 to 9"),
            ("drip,every=7", "kind_found.py, line 14: KeyError: 'seven': mend it"),
        ):
            self.assertIn(problem, str(self.assertRaises(FaultError, parseFault, text)))

    def test_refused(self) -> None:
        """One line says what to mend."""
        install(
            self,
            {GROUP: "drop = kind_wrong:Drip"},
            kind_wrong=HEAD
            + DRIP
            + "class Not: pass\n"
            + "class NoStage(Fault): kind = 'x'\n"
            + "class NoData(Fault):\n    kind = 'x'\n    every: int = integerField(1, 2)\n"
            + "    stage = None\n"
            + "@dataclass(frozen=True)\nclass NoField(Fault):\n    kind = 'x'\n    every: int\n"
            + "    stage = None\n"
            + "class NoKind(Fault): stage = None\n",
        )
        for name, problem in (
            ("kind_wrong.Not", "derive the class from tcplab.faults.Fault"),
            ("kind_wrong.NoStage", "it has no stage()"),
            ("kind_wrong.NoData", "@dataclass(frozen=True)"),
            ("kind_wrong.NoField", "every cannot be typed: declare it"),
            ("kind_wrong.NoKind", 'kind = "drip"'),
            ("kind_wrong.Nothing", "kind_wrong has no Nothing"),
            ("drop", "registered as drop, and has kind = 'drip'"),
        ):
            self.assertIn(problem, str(self.assertRaises(ImportFailed, KINDS.get, name)))
            error = self.assertRaises(FaultError, parseFault, name)
            self.assertTrue(str(error).startswith(f"fault {name!r}: "), error)
