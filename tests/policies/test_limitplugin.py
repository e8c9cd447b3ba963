"""Tests for `tcplab.policies.limitplugin`."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import endpoints
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    _parse,
    quoteStringArgument,
    serverFromString,
)
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import limitendpoint
from tcplab.policies.limitplugin import LimitError, LimitParser
from tests.support.tiers import processes


class Limited:
    """What the parser makes: another endpoint, and limits."""

    def __init__(self, reactor: Any, endpoint: Any, **limits: Any) -> None:
        self.reactor = reactor
        self.endpoint = endpoint
        self.limits = limits


class Parsing(SynchronousTestCase):
    """Read endpoint strings as any program does."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.patch(limitendpoint, "LimitedEndpoint", Limited)

    def read(self, description: str) -> Any:
        return serverFromString(self.reactor, description)


class OptionsTests(Parsing):
    def test_options(self) -> None:
        """Each is optional, and stands anywhere; the outer limit takes all of them."""
        for description, limits in (
            ("tcp:8080", {}),
            ("max=100:per-peer=5:tcp:8080", {"maxConnections": 100, "maxPerPeer": 5}),
            ("idle=60:write=30:tcp:8080", {"idle": 60.0, "write": 30.0}),
            ("idle=0.25:handshake=5:tcp:8080", {"idle": 0.25, "handshake": 5.0}),
            (
                "idle=none:handshake=none:write=none:tcp:8080",
                {"idle": None, "handshake": None, "write": None},
            ),
            ("tcp:8080:max=7", {"maxConnections": 7}),
        ):
            made = self.read(f"limit:{description}")
            self.assertEqual((made.limits, made.reactor), (limits, self.reactor))
            self.assertIsInstance(made.endpoint, TCP4ServerEndpoint)
            self.assertEqual(made.endpoint._port, 8080)
        made = self.read("limit:max=3:limit:idle=2:tcp:8080")
        self.assertEqual(made.limits, {"maxConnections": 3, "idle": 2.0})
        self.assertEqual(made.endpoint.limits, {})


class InnerTests(Parsing):
    """The other endpoint, with its own options."""

    @settings(deadline=None, derandomize=True)
    @given(
        st.lists(st.text(max_size=9), max_size=4),
        # Twisted knows no other names of options than those in ASCII.
        st.dictionaries(st.text("ab:=\\ ", min_size=1), st.text(max_size=9), max_size=3),
    )
    def test_anyWords(self, words: list[str], options: dict[str, str]) -> None:
        """Another parser gets what was written, whatever it is."""
        kept: list[Any] = []

        class Inner(NamedTuple):
            prefix: str = "inner"

            def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> None:
                kept.append((list(args), kwargs))

        self.patch(endpoints, "getPlugins", lambda interface: [Inner(), LimitParser()])

        def quoted(text: str) -> str:
            return quoteStringArgument(text).replace("=", "\\=")

        text = ":".join(
            ["limit", "inner", *map(quoted, words)]
            + [f"{quoted(name)}={quoted(value)}" for name, value in options.items()]
        )
        meant = _parse(text)
        serverFromString(self.reactor, text)
        self.assertEqual(kept, [(meant[0][2:], meant[1])])


class MistakesTests(Parsing):
    """Each gets one line that says what to write."""

    def refused(self, description: str) -> str:
        error = self.assertRaises(LimitError, self.read, description)
        self.assertNotIn("\n", str(error))
        self.assertIsInstance(error, ValueError)  # what other endpoints raise
        return str(error)

    def test_values(self) -> None:
        counts = "", "0", "-1", "1.5", "abc", "1e3", "\u0661", "1_000", "9" * 5000, " 1", "none"
        seconds = "", "0", "0.0", "-1", "inf", "nan", "1e9999", "5s", "1_0", ".", "None"
        for name, words, problem, example in (
            ("max", counts, "a whole number above 0", "100"),
            ("per-peer", counts, "a whole number above 0", "5"),
            ("idle", seconds, "a number of seconds above 0, or none", "60"),
            ("handshake", seconds, "a number of seconds above 0, or none", "5"),
            ("write", seconds, "a number of seconds above 0, or none", "30"),
        ):
            for word in words:
                self.assertEqual(
                    self.refused(f"limit:{name}={word}:tcp:0"),
                    f"limit: {name}={word}: give {problem}, as in {name}={example}",
                )

    def test_words(self) -> None:
        """What is wrong with the other endpoint is said once, with its string."""
        noEndpoint = "there is no endpoint: write one, as in limit:max=100:tcp:8080"
        options = "(limit's own options are max, per-peer, idle, handshake, write)"
        for description, problem in (
            ("limit", noEndpoint),
            ("limit:", noEndpoint),
            ("limit:max=5", noEndpoint),
            ("limit:max:tcp:0", "max has no value: write max=100"),
            (
                "limit:maximum=5:tcp:0",
                f"tcp:0:maximum=5: there is no option 'maximum' {options}",
            ),
            ("limit:max=5:tpc:0", "tpc:0: there is no kind of endpoint 'tpc'"),
            ("limit:max=3:limit:tpc:0", "tpc:0: there is no kind of endpoint 'tpc'"),
            ("limit:max=5:tcp:http:backlog=x", "tcp:http:backlog=x: 'http' is no number"),
            ("limit:max=5:tcp", "tcp: 'port' is missing"),
        ):
            self.assertEqual(self.refused(description), f"limit: {problem}")

    def test_otherFailures(self) -> None:
        """A missing file is no mistake of the string, and raised as ever."""
        self.assertRaises(OSError, self.read, "limit:max=3:ssl:0:privateKey=/nowhere/x.pem")


class PluginTests(SynchronousTestCase):
    @processes
    def test_light(self) -> None:
        """Programs that use another plugin load it too: it costs them nothing, and no reactor."""
        program = (
            "import sys, twisted.internet.endpoints; before = set(sys.modules);"
            " from twisted.plugins.tcplab_endpoints import limit;"
            " print(*sorted(set(sys.modules) - before))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, timeout=30, text=True
        )
        own = [name for name in done.stdout.split() if name.startswith("tcplab.")]
        packages = ["tcplab.exports", "tcplab.faults", "tcplab.policies", "tcplab.wire"]
        parsers = ["tcplab.faults.faultplugin", "tcplab.policies.limitplugin"]
        self.assertEqual(own, sorted([*packages, *parsers, "tcplab.wire.endpointstring"]))
        self.assertNotIn("twisted.internet.reactor", done.stdout)
