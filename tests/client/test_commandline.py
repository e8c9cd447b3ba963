"""Tests for `tcplab.client.commandline`."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

import tcplab
from tcplab.client.commandline import ConnectOptions, HelpRequested, UsageError, parseOptions
from tcplab.client.script import ExpectPattern, ExpectText, Send


class ParsingTests(SynchronousTestCase):
    def test_aHostIsEnough(self) -> None:
        options = parseOptions(["localhost"])
        self.assertEqual(options, ConnectOptions(address=options.address))
        self.assertEqual(options.address.label, "localhost:50544")
        self.assertEqual(options.timeout, 5.0)

    def test_stepsKeepTheirOrder(self) -> None:
        options = parseOptions(
            ["--expect", "a", "--send", "b", "h", "--send=c", "--expect-re", "d+", "--expect", "e"]
        )
        self.assertEqual(
            options.steps,
            (
                ExpectText(b"a"),
                Send(b"b"),
                Send(b"c"),
                ExpectPattern(re.compile(b"d+")),
                ExpectText(b"e"),
            ),
        )

    def test_escapesAreUnderstoodInTexts(self) -> None:
        options = parseOptions(["h", "--send", r"a\r\n\x00\\é", "--expect", r"\t"])
        self.assertEqual(options.steps, (Send("a\r\n\0\\é".encode()), ExpectText(b"\t")))

    def test_aTextMayBeginWithADash(self) -> None:
        self.assertEqual(parseOptions(["h", "--send", "--hex"]).steps, (Send(b"--hex"),))

    def test_nothingMayBeSent(self) -> None:
        self.assertEqual(parseOptions(["h", "--send", ""]).steps, (Send(b""),))

    def test_switches(self) -> None:
        options = parseOptions(["h", "--tls", "--insecure", "--hex", "--quiet", "--timeout", "0.5"])
        self.assertTrue(options.tls and options.insecure and options.hexadecimal and options.quiet)
        self.assertEqual(options.timeout, 0.5)
        self.assertTrue(parseOptions(["-q", "h"]).quiet)

    def test_aHeaderOfTheProxyProtocol(self) -> None:
        self.assertIsNone(parseOptions(["h"]).proxyHeader)
        for word, version in ("v1", 1), ("v2", 2):
            self.assertEqual(parseOptions(["h", "--proxy-header", word]).proxyHeader, version)

    def test_theLastTimeoutCounts(self) -> None:
        self.assertEqual(parseOptions(["h", "--timeout", "1", "--timeout", "2"]).timeout, 2.0)

    def test_helpIsAnAnswerWhateverElseIsTyped(self) -> None:
        for arguments in ["--help"], ["-h"], ["--send", "x", "--help"]:
            answer = self.assertRaises(HelpRequested, parseOptions, arguments)
            self.assertTrue(str(answer).startswith("usage: tcplab connect"))

    def test_helpFitsOnATerminal(self) -> None:
        text = str(self.assertRaises(HelpRequested, parseOptions, ["--help"]))
        self.assertLess(max(map(len, text.splitlines())), 100)
        self.assertLess(len(text.splitlines()), 50)

    def test_helpNamesEveryOption(self) -> None:
        text = str(self.assertRaises(HelpRequested, parseOptions, ["--help"]))
        names = "send", "expect", "expect-re", "timeout", "tls", "insecure", "proxy-header", "hex"
        for name in (*names, "quiet"):
            self.assertRegex(text, rf"(?m)^  (-q, )?--{name} ")

    def test_versionIsAnAnswer(self) -> None:
        answer = self.assertRaises(HelpRequested, parseOptions, ["--version"])
        self.assertEqual(str(answer), f"tcplab {tcplab.__version__}\n")


class RefusingTests(SynchronousTestCase):
    def assertRefused(self, arguments: list[str], because: str) -> None:
        problem = self.assertRaises(UsageError, parseOptions, arguments)
        self.assertIn(because, str(problem))
        self.assertEqual(len(str(problem).splitlines()), 1)

    def test_aHeaderThatIsNone(self) -> None:
        for word in "v3", "", "1", "any":
            self.assertRefused(["h", "--proxy-header", word], f"{word!r} is not v1 or v2")
        where = "ssl:127.0.0.1:443"
        self.assertRefused([where, "--proxy-header", "v2"], "give HOST:PORT and --tls")

    def test_noHost(self) -> None:
        self.assertRefused(["--hex"], "HOST")

    def test_moreThanOneHost(self) -> None:
        self.assertRefused(["a", "b"], "one HOST only, not 'a' and 'b'")

    def test_aHostThatIsNone(self) -> None:
        self.assertRefused(["a b"], "'a b' is no address")

    def test_anUnknownOption(self) -> None:
        self.assertRefused(["h", "--sent", "x"], "--sent")

    def test_anOptionWithoutItsValue(self) -> None:
        self.assertRefused(["h", "--send"], "--send")

    def test_aTimeoutThatIsNone(self) -> None:
        for text in "0", "-1", "nan", "inf", "1e9", "soon", "":
            self.assertRefused(["h", "--timeout", text], "--timeout")

    def test_anUnknownEscape(self) -> None:
        self.assertRefused(["h", "--send", r"\q"], "--send: unknown escape")
        self.assertRefused(["h", "--expect", r"\x1"], "--expect: ")

    def test_anExpectationThatAlwaysHolds(self) -> None:
        self.assertRefused(["h", "--expect", ""], "--expect")
        self.assertRefused(["h", "--expect-re", "a*"], "matches nothing at all")

    def test_anExpressionThatIsNone(self) -> None:
        self.assertRefused(["h", "--expect-re", "("], "--expect-re: '('")

    def test_insecureWithoutTLS(self) -> None:
        self.assertRefused(["h", "--insecure"], "--tls")

    def test_tlsTwice(self) -> None:
        self.assertRefused(["tls:h:1", "--tls"], "already")

    def test_tlsWithoutANameToVerify(self) -> None:
        self.assertRefused(["unix:/s", "--tls"], "--insecure")
        self.assertTrue(parseOptions(["unix:/s", "--tls", "--insecure"]).tls)
