"""Tests for `tcplab.policies.limitplugin`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import endpoints
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    UNIXServerEndpoint,
    _parse,
    quoteStringArgument,
    serverFromString,
)
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import limitendpoint
from tcplab.policies.limitplugin import LimitError, LimitParser
from tests.support.certificates import localhostFile
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

    def inner(self, description: str) -> Any:
        return self.read(description).endpoint


class OptionsTests(Parsing):
    """What may be written."""

    def test_all(self) -> None:
        made = self.read("limit:max=100:per-peer=5:idle=60:handshake=5:write=30:tcp:8080")
        self.assertEqual(
            made.limits,
            {
                "maxConnections": 100,
                "maxPerPeer": 5,
                "idle": 60.0,
                "handshake": 5.0,
                "write": 30.0,
            },
        )
        self.assertIs(made.reactor, self.reactor)
        self.assertIsInstance(made.endpoint, TCP4ServerEndpoint)

    def test_none(self) -> None:
        """All have defaults, which are not the parser's."""
        self.assertEqual(self.read("limit:tcp:8080").limits, {})

    def test_fractions(self) -> None:
        """Seconds may have them."""
        self.assertEqual(self.read("limit:idle=0.25:tcp:0").limits, {"idle": 0.25})

    def test_noLimit(self) -> None:
        """A deadline that would be there by default can be left out."""
        made = self.read("limit:idle=none:handshake=none:write=none:tcp:0")
        self.assertEqual(made.limits, {"idle": None, "handshake": None, "write": None})

    def test_atTheEnd(self) -> None:
        """Twisted gathers the options wherever they stand."""
        made = self.read("limit:tcp:8080:max=7")
        self.assertEqual((made.limits, made.endpoint._port), ({"maxConnections": 7}, 8080))


class InnerTests(Parsing):
    """The other endpoint, with its own options."""

    def test_tcp(self) -> None:
        endpoint = self.inner("limit:max=3:tcp:8080:interface=127.0.0.1:backlog=511")
        told = (endpoint._port, endpoint._interface, endpoint._backlog)
        self.assertEqual(told, (8080, "127.0.0.1", 511))

    def test_tcp6(self) -> None:
        endpoint = self.inner(r"limit:max=3:tcp6:8080:interface=\:\:1")
        self.assertIsInstance(endpoint, TCP6ServerEndpoint)
        self.assertEqual(endpoint._interface, "::1")

    def test_unix(self) -> None:
        """Its path may have in it what means something in endpoint strings."""
        endpoint = self.inner(r"limit:max=3:unix:/run/a\:b\=c\\d:mode=600:lockfile=0")
        self.assertIsInstance(endpoint, UNIXServerEndpoint)
        told = (endpoint._address, endpoint._mode, endpoint._wantPID)
        self.assertEqual(told, (r"/run/a:b=c\d", 0o600, False))

    def test_ssl(self) -> None:
        pem = localhostFile()
        endpoint = self.inner(f"limit:idle=9:ssl:8443:privateKey={pem}:certKey={pem}:backlog=9")
        self.assertEqual((endpoint._port, endpoint._backlog), (8443, 9))

    def test_tls(self) -> None:
        folder = self.mktemp()
        os.mkdir(folder)
        endpoint = self.inner(f"limit:idle=9:tls:{quoteStringArgument(folder)}:port=8443")
        self.assertEqual(endpoint.endpoint._port, 8443)

    def test_inAnother(self) -> None:
        """Wherever it stands among other wrappers."""
        outer = self.read("haproxy:limit:max=3:tcp:8080:backlog=9")
        made = outer._wrappedEndpoint
        self.assertEqual((made.limits, made.endpoint._backlog), ({"maxConnections": 3}, 9))
        made = self.read("limit:max=3:haproxy:tcp:8080:backlog=9")
        self.assertEqual(made.limits, {"maxConnections": 3})
        self.assertEqual(made.endpoint._wrappedEndpoint._backlog, 9)

    def test_inItself(self) -> None:
        """The outer one takes all options."""
        made = self.read("limit:max=3:limit:idle=2:tcp:8080")
        self.assertEqual(made.limits, {"maxConnections": 3, "idle": 2.0})
        self.assertEqual(made.endpoint.limits, {})

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

    def test_counts(self) -> None:
        for word in (
            "",
            "0",
            "-1",
            "1.5",
            "abc",
            "1e3",
            "\u0661",
            "1_000",
            "9" * 5000,
            " 1",
            "none",
        ):
            self.assertEqual(
                self.refused(f"limit:max={word}:tcp:0"),
                f"limit: max={word}: give a whole number above 0, as in max=100",
            )
        self.assertEqual(
            self.refused("limit:per-peer=x:tcp:0"),
            "limit: per-peer=x: give a whole number above 0, as in per-peer=5",
        )

    def test_seconds(self) -> None:
        for name, example in (("idle", "60"), ("handshake", "5"), ("write", "30")):
            for word in ("", "0", "0.0", "-1", "inf", "nan", "1e9999", "5s", "1_0", ".", "None"):
                self.assertEqual(
                    self.refused(f"limit:{name}={word}:tcp:0"),
                    f"limit: {name}={word}: give a number of seconds above 0, or none, as in"
                    f" {name}={example}",
                )

    def test_noEndpoint(self) -> None:
        for description in ("limit", "limit:", "limit:max=5"):
            self.assertEqual(
                self.refused(description),
                "limit: there is no endpoint: write one, as in limit:max=100:tcp:8080",
            )

    def test_noValue(self) -> None:
        """As if it was a switch."""
        self.assertEqual(self.refused("limit:max:tcp:0"), "limit: max has no value: write max=100")

    def test_unknownOption(self) -> None:
        """It is taken for one of the other endpoint, which does not know it."""
        self.assertEqual(
            self.refused("limit:maximum=5:tcp:0"),
            "limit: tcp:0:maximum=5: there is no option 'maximum' (limit's own"
            " options are max, per-peer, idle, handshake, write)",
        )

    def test_unknownEndpoint(self) -> None:
        self.assertEqual(
            self.refused("limit:max=5:tpc:0"), "limit: tpc:0: there is no kind of endpoint 'tpc'"
        )

    def test_mistakeOfTheOther(self) -> None:
        """What the other endpoint finds wrong is told with its string."""
        self.assertEqual(
            self.refused("limit:max=5:tcp:http:backlog=x"),
            "limit: tcp:http:backlog=x: 'http' is no number",
        )
        self.assertEqual(self.refused("limit:max=5:tcp"), "limit: tcp: 'port' is missing")

    def test_mistakeWithinItself(self) -> None:
        """Is told once."""
        self.assertEqual(self.refused("limit:max=3:limit:tpc:0").count("limit:"), 1)

    def test_otherFailures(self) -> None:
        """A file that is missing is no mistake of the string, and raised as ever."""
        self.assertRaises(OSError, self.read, "limit:max=3:ssl:0:privateKey=/nowhere/x.pem")


class PluginTests(SynchronousTestCase):
    """Any program finds it."""

    def test_found(self) -> None:
        parsers = [
            parser
            for parser in getPlugins(IStreamServerEndpointStringParser)
            if parser.prefix == "limit"
        ]
        self.assertEqual([type(parser) for parser in parsers], [LimitParser])

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
        parsers = ["tcplab.faults.endpointplugin", "tcplab.policies.limitplugin"]
        self.assertEqual(own, sorted([*packages, *parsers, "tcplab.wire.endpointstring"]))
        self.assertNotIn("twisted.internet.reactor", done.stdout)
