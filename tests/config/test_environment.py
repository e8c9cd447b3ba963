"""Tests for `tcplab.config.environment`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.environment import fromEnvironment, unknownVariables
from tcplab.config.options import OPTIONS


class EnvironmentTests(SynchronousTestCase):
    def test_words(self) -> None:
        """Each option has a variable; an empty one is not set; others are left alone."""
        environment = {
            "TCPLAB_PORT": "0",
            "TCPLAB_MAX_CONNECTIONS": "5",
            "TCPLAB_GREETING": "",
            "TCPLAB_FAULT": r" latency,latency=1s;; limit_data,match=a\;b\n,bytes=2B ;",
            "PORT": "80",
        }
        self.assertEqual(
            fromEnvironment(environment, OPTIONS),
            {
                "port": "0",
                "maxConnections": "5",
                "faults": ["latency,latency=1s", r"limit_data,match=a;b\n,bytes=2B"],
            },
        )

    def test_unknown(self) -> None:
        """It is described with its near miss, and not refused."""
        names = ["HOME", "TCPLAB_PORT", "TCPLAB_PROT", "TCPLAB_WORKER", "TCPLAB_X"]
        self.assertEqual(
            unknownVariables(names, OPTIONS),
            [
                "TCPLAB_PROT in the environment is no option (did you mean TCPLAB_PORT?):"
                " it changes nothing",
                "TCPLAB_X in the environment is no option: it changes nothing",
            ],
        )
