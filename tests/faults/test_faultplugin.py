"""Tests for `tcplab.faults.faultplugin`."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults import FaultError, faultendpoint
from tcplab.faults.faultplugin import FaultParser
from tests.support.tiers import processes


class Faulted:
    """What the parser makes: another endpoint, and a fault."""

    def __init__(self, reactor: Any, endpoint: Any, fault: str, *, seed: int | None) -> None:
        self.endpoint = endpoint
        self.fault = fault
        self.seed = seed


class ParserTests(SynchronousTestCase):
    """Endpoint strings, as any program reads them."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        for name in ("FaultedServerEndpoint", "FaultedClientEndpoint"):
            self.patch(faultendpoint, name, Faulted)

    def read(self, description: str) -> Any:
        return serverFromString(self.reactor, description)

    def test_found(self) -> None:
        """Twisted finds it, for servers and for clients."""
        for kind in (
            IStreamServerEndpointStringParser,
            IStreamClientEndpointStringParserWithReactor,
        ):
            self.assertEqual(
                [isinstance(each, FaultParser) for each in getPlugins(kind)].count(True), 1
            )

    @processes
    def test_light(self) -> None:
        """A program that only loads it loads little."""
        code = "import sys, tcplab.faults.faultplugin\nprint('OpenSSL' in sys.modules)"
        before = "import sys, twisted.internet.endpoints\nprint('OpenSSL' in sys.modules)"
        run = [subprocess.check_output([sys.executable, "-c", each]) for each in (code, before)]
        self.assertEqual(run[0], run[1])

    def test_fault(self) -> None:
        """A fault is a word, and what has a comma in it; all else is the other endpoint's."""
        for text, fault, seed in (
            ("half_close", "half_close", None),
            ("latency,latency=100,jitter=20", "latency,latency=100,jitter=20", None),
            ("latency,100ms", "latency,100ms", None),
            ("corrupt,every=1KiB,seed=7,bits=2", "corrupt,every=1KiB,bits=2", 7),
        ):
            made = self.read(f"fault:{text}:tcp:8080:interface=127.0.0.1")
            self.assertEqual((made.fault, made.seed), (fault, seed))
            self.assertEqual((made.endpoint._port, made.endpoint._interface), (8080, "127.0.0.1"))
            client: Any = clientFromString(self.reactor, f"fault:{text}:tcp:host:80")
            self.assertEqual((client.fault, client.endpoint._port), (fault, 80))

    def test_nested(self) -> None:
        """In the order in which they stand."""
        for first, second in (
            ("stall,after=1KiB", "latency,latency=5"),
            ("half_close", "latency,latency=5"),
            ("latency,latency=5", "half_close"),
            ("reset_peer", "half_close"),
        ):
            outer = self.read(f"fault:{first}:fault:{second}:tcp:8080:backlog=9")
            self.assertEqual((outer.fault, outer.endpoint.fault), (first, second))
            self.assertEqual(outer.endpoint.endpoint._backlog, 9)

    def test_alike(self) -> None:
        """Two that begin alike would be one for Twisted, without a word."""
        text = "fault:latency,latency=100:fault:latency,latency=5:tcp:0"
        error = str(self.assertRaises(FaultError, self.read, text))
        self.assertIn("Twisted keeps one: write latency,latency=… with its keys in another", error)
        self.read("fault:latency,latency=100:fault:latency,jitter=0,latency=5:tcp:0")

    def test_mistakes(self) -> None:
        """One line each."""
        for text, problem in {
            "fault:tcp:8080": "fault: there is no fault 'tcp'; the faults are latency, bandwidth",
            "fault:halfclose:tcp:8080": "fault: there is no fault 'halfclose' (did you mean half",
            "fault:": "fault: there is no fault ''; the faults are",
            "fault:latncy,latency=1:tcp:0": "fault 'latncy,latency=1': there is no fault 'latncy'",
            "fault:latency,latency=x:tcp:0": "fault 'latency,latency=x': latency=x: give a time",
            "fault:half_close": "fault: there is no endpoint: write one, as in fault:half_close:",
            "fault:half_close:tcp": "fault: tcp: 'port' is missing",
            "fault:half_close:tcp:x": "fault: tcp:x: 'x' is no number",
            "fault:half_close:nope:1": "fault: nope:1: there is no kind of endpoint 'nope'",
        }.items():
            error = str(self.assertRaises(FaultError, self.read, text))
            self.assertTrue(error.startswith(problem), error)
            self.assertNotIn("\n", error)
