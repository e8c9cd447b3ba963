"""Tests for `tcplab.config.checks`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.checks import (
    MOST_WORKERS,
    checkFaults,
    checkNames,
    checkPeers,
    checkProxies,
    checkWorkers,
    readFaults,
    readSeed,
)


class Contradictions(SynchronousTestCase):
    def refused(self, check: Callable[..., None], *values: Any) -> str:
        problem = str(self.assertRaises(ValueError, check, *values))
        self.assertNotIn("\n", problem)
        return problem

    def test_names(self) -> None:
        checkNames(["echo", "lab"])
        self.assertIn("nothing to serve: give --port", self.refused(checkNames, []))
        self.assertIn("same name: echo, echo", self.refused(checkNames, ["echo", "echo"]))

    def test_one_peer_and_all(self) -> None:
        for values in ((None, 1, 8), (5, 5, 1), (5, None, 1)):
            checkPeers(*values)
        self.assertIn("above --max-connections 4", self.refused(checkPeers, 5, 4, 1))
        self.assertIn("it or --workers 2", self.refused(checkPeers, 5, None, 2))

    def test_workers(self) -> None:
        checkWorkers(MOST_WORKERS)
        self.assertIn("give 256 at most", self.refused(checkWorkers, MOST_WORKERS + 1))

    def test_proxies(self) -> None:
        for values in ((None, ()), ("v1", ("10.0.0.0/8", "::1")), ("any", ("unix",))):
            checkProxies(*values)
        for version, proxies, problem in (
            (None, ("10.0.0.1",), "changes nothing without --proxy-protocol"),
            ("v3", ("10.0.0.1",), "--proxy-protocol v3: give v1, v2"),
            ("v1", (), "believes nobody: name your proxies"),
            ("v1", ("10.0.0.1", "10.0.0.1/33"), "--proxy-from '10.0.0.1/33' does not"),
        ):
            self.assertIn(problem, self.refused(checkProxies, version, proxies))


class Reading(SynchronousTestCase):
    def test_each_word_is_a_fault(self) -> None:
        faults = readFaults(["latency,latency=100", "reset_peer,conn=1-2@echo-2"])
        self.assertEqual([each.listener for each in faults], [None, "echo-2"])

    def test_unknown_kind_is_one_line_that_names_the_known(self) -> None:
        problem = str(self.assertRaises(ValueError, readFaults, ["latncy"]))
        self.assertTrue(problem.startswith("--fault 'latncy': there is no fault"))
        self.assertIn("latency", problem.partition(";")[2])
        self.assertEqual(len(problem.splitlines()), 1)

    def test_seed(self) -> None:
        self.assertEqual((readSeed("0"), readSeed("9" * 18)), (0, 10**18 - 1))
        for word in ("", "-1", "1.5", "x", "\u0663", "1" * 19):
            problem = str(self.assertRaises(ValueError, readSeed, word))
            self.assertTrue(problem.startswith(f"--seed {word}: "), problem)


class Checking(SynchronousTestCase):
    def refused(self, *words: str, seed: int | None = None, workers: int | None = None) -> str:
        faults = readFaults(words)
        return str(
            self.assertRaises(ValueError, checkFaults, faults, seed, ["lab", "echo"], workers)
        )

    def test_sense(self) -> None:
        checkFaults(readFaults(["stall@echo", "stall,probability=0.5"]), 3, ["lab", "echo"], None)
        checkFaults((), None, ["lab"], 2)

    def test_listener_that_is_not_there(self) -> None:
        self.assertIn("no listener 'x'; there are lab, echo", self.refused("stall@x"))

    def test_counting_with_workers(self) -> None:
        self.assertIn("or --workers 2", self.refused("stall,conn=1", workers=2))

    def test_refusing_with_workers(self) -> None:
        self.assertIn("or --workers 2", self.refused("refuse", workers=2))
        checkFaults(readFaults(["hang"]), None, ["lab"], 2)

    def test_seed_without_dice(self) -> None:
        self.assertIn("no --fault rolls dice", self.refused("stall", seed=3))
