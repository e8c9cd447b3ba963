"""Tests for `tcplab.client.commandline`."""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import tcplab
from tcplab.client.commandline import ConnectOptions, HelpRequested, UsageError, parseOptions
from tcplab.client.script import ExpectPattern, ExpectText, Send


class ParsingTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        options = parseOptions(["localhost"])
        self.assertEqual(options, ConnectOptions(address=options.address))
        self.assertEqual((options.address.label, options.timeout), ("localhost:50544", 5.0))
        self.assertIsNone(options.proxyHeader)

    def test_steps(self) -> None:
        """They keep their order; escapes are understood; a text may be empty or like an option."""
        pattern = ExpectPattern(re.compile(b"d+"))
        mixed = "--expect a --send b h --send=c --expect-re d+ --expect e"
        steps: Any
        for arguments, steps in (
            (mixed.split(), (ExpectText(b"a"), Send(b"b"), Send(b"c"), pattern, ExpectText(b"e"))),
            (["h", "--send", r"a\r\n\x00\\é"], (Send("a\r\n\0\\é".encode()),)),
            (["h", "--expect", r"\t"], (ExpectText(b"\t"),)),
            (["h", "--send", "--hex"], (Send(b"--hex"),)),
            (["h", "--send", ""], (Send(b""),)),
        ):
            self.assertEqual(parseOptions(arguments).steps, steps)

    def test_options(self) -> None:
        for typed, fields in (
            ("--tls --insecure", {"tls": True, "insecure": True}),
            ("--hex --quiet", {"hexadecimal": True, "quiet": True}),
            ("-q", {"quiet": True}),
            ("--timeout 1 --timeout 0.5", {"timeout": 0.5, "silence": 0.5}),
            ("--send x", {"silence": None, "shutdown": True, "crlf": False}),
            ("--no-shutdown -C", {"silence": 5.0, "shutdown": False, "crlf": True}),
            ("--crlf", {"crlf": True}),
            ("--proxy-header v1", {"proxyHeader": 1}),
            ("--proxy-header v2", {"proxyHeader": 2}),
        ):
            options = parseOptions(["unix:/s", *typed.split()])
            self.assertEqual({name: getattr(options, name) for name in fields}, fields)

    def test_helpAndVersion(self) -> None:
        """They are the answer whatever else is typed; the help fits on a terminal."""
        for arguments in ["--help"], ["-h"], ["--send", "x", "--help"]:
            text = str(self.assertRaises(HelpRequested, parseOptions, arguments))
            self.assertTrue(text.startswith("usage: tcplab connect"))
            self.assertLess(max(map(len, text.splitlines())), 80)
            self.assertLess(len(text.splitlines()), 50)
        names = "send", "expect", "expect-re", "timeout", "tls", "insecure", "proxy-header", "hex"
        for name in (*names, "quiet", "crlf", "no-shutdown"):
            self.assertRegex(text, rf"(?m)^  (-[qC], )?--{name} ")
        version = self.assertRaises(HelpRequested, parseOptions, ["--version"])
        self.assertEqual(str(version), f"tcplab {tcplab.__version__}\n")

    def test_refused(self) -> None:
        """What is wrong is one line, and names the option."""
        for arguments, why in (
            (["--hex"], "HOST"),
            (["a", "b"], "give one HOST, not 'a' and 'b'"),
            (["a b"], "'a b' is no address"),
            (["::1", "80"], "HOST and port are one word: write [::1]:80"),
            (["h", "ssh"], "write h:22"),
            (["h", "--sned", "x"], "--sned not recognized (did you mean --send?)"),
            (["h", "--port", "1"], "--port not recognized: the port is part of the address, as"),
            (["h", "-p", "1"], "-p not recognized: the port is part of the address, as in local"),
            (["h", "-w", "1"], "write --timeout SECONDS"),
            (["h", "--no-shutdown", "--expect", "x"], "--no-shutdown changes nothing: the last"),
            (["h", "--send"], "--send"),
            (["h", "--send", r"\q"], "--send: unknown escape"),
            (["h", "--expect", r"\x1"], "--expect: "),
            (["h", "--expect", ""], "--expect"),
            (["h", "--expect-re", "a*"], "matches nothing at all"),
            (["h", "--expect-re", "("], "--expect-re: '('"),
            (["h", "--insecure"], "--tls"),
            (["tls:h:1", "--tls"], "already"),
            (["unix:/s", "--tls"], "--insecure"),
            (["ssl:127.0.0.1:443", "--proxy-header", "v2"], "give HOST:PORT and --tls"),
            *((["h", "--proxy-header", v], f"{v!r} is not v1 or v2") for v in ("v3", "", "any")),
            *((["h", "--timeout", t], "--timeout") for t in ("0", "-1", "nan", "1e9", "soon", "")),
        ):
            problem = str(self.assertRaises(UsageError, parseOptions, arguments))
            self.assertIn(why, problem)
            self.assertEqual(len(problem.splitlines()), 1)
