"""Settings that contradict each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.contradictions import (
    MOST_WORKERS,
    checkNames,
    checkPeers,
    checkProxies,
    checkWorkers,
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
