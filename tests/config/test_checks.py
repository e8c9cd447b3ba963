"""Tests for `tcplab.config.checks`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.config.options import OPTIONS, Settings, fromWords


class ContradictionTests(SynchronousTestCase):
    """The same check, of words and of values; each names what it is given as it is given."""

    def refused(self, problem: str, **words: Any) -> None:
        raised = str(self.assertRaises(SettingsError, fromWords, **words))
        self.assertIn(problem, raised)
        self.assertNotIn("\n", raised)
        values = {"listeners" if name == "serve" else name: each for name, each in words.items()}
        raised = str(self.assertRaises(SettingsError, Settings.of, **values))
        for name, option in OPTIONS.items():
            problem = problem.replace(option.flag, "listeners" if name == "serve" else name)
        self.assertIn(problem, raised)

    def test_peers(self) -> None:
        problem = "--max-per-peer 5 is above --max-connections 4: no peer could"
        self.refused(problem, maxPerPeer=5, maxConnections=4)
        problem = "--max-per-peer 5 is counted by each process alone: leave out one of the two, it"
        self.refused(f"{problem} or --workers 2", maxPerPeer=5, workers=2)
        fromWords(maxPerPeer=5, maxConnections=5, workers=1)

    def test_proxies(self) -> None:
        problem = "--proxy-from 10.0.0.1 changes nothing without --proxy-protocol: give that too"
        self.refused(problem, proxyFrom=["10.0.0.1"])
        problem = "--proxy-protocol v1 trusts no proxy: name yours, as in --proxy-from 10."
        self.refused(problem, proxyProtocol="v1")

    def test_faults(self) -> None:
        problem = "--fault stall@x: there is no listener 'x'; the listeners are lab, echo"
        self.refused(problem, faults=["stall@x"], port=0, serve=["echo@tcp:0"])
        problem = "--fault stall,conn=1: conn counts the connections of each process alone: "
        self.refused(f"{problem}leave out conn, or --workers 2", faults=["stall,conn=1"], workers=2)
        self.refused("leave out this fault, or --workers 2", faults=["refuse"], workers=2)
        fromWords(faults=["hang"], workers=2)

    def test_seed(self) -> None:
        problem = "--seed 3 changes nothing here: no --fault is random"
        self.refused(problem, faults=["stall"], seed=3)
        fromWords(faults=["stall,probability=0.5", "stall"], seed=3)

    def test_port(self) -> None:
        for name, value in (("behaviour", "ack"), ("interface", "::1")):
            problem = f"--{name} {value} belongs to --port, and --serve has replaced the default"
            self.refused(problem, serve=["echo@tcp:1"], **{name: value})
            self.refused(
                f"give --port 50544 too, or leave --{name} out",
                serve=["echo@tcp:1"],
                **{name: value},
            )
