"""Tests for `tcplab.client.script`."""

from __future__ import annotations

import re
import signal
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.clienttls import overTLS
from tcplab.client.connect import SingleUseFactory
from tcplab.client.result import Outcome, Result
from tcplab.client.script import (
    ExpectPattern,
    ExpectText,
    Script,
    ScriptClient,
    Send,
    Step,
    limitedSearch,
)
from tcplab.testing import Peer, connected
from tests.support.memory_console import MemoryConsole, ended
from tests.support.memory_console import outcome as outcomeOf

quick = settings(deadline=None, derandomize=True, max_examples=200)


def text(data: bytes) -> ExpectText:
    return ExpectText(data)


def pattern(data: bytes) -> ExpectPattern:
    return ExpectPattern(re.compile(data))


def outcome(steps: list[Step], chunks: list[bytes]) -> tuple[bytes, int, bool, str]:
    """Perform a script; return what was sent, the position, and what is unmatched."""
    script = Script(steps)
    sent = script.start()
    for chunk in chunks:
        sent += script.feed(chunk)
    return sent, script.position, script.onlyPrefix, script.unmatched


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    begin = 0
    for end in [*sorted({cut for cut in cuts if cut < len(data)}), len(data)]:
        yield data[begin:end]
        begin = end


WIRE = st.lists(st.sampled_from([b"a", b"b", b"ab", b"aab", b"\n"])).map(b"".join)
CUTS = st.lists(st.integers(0, 40))
WORDS = st.lists(st.sampled_from([b"a", b"b"]), min_size=1, max_size=5).map(b"".join)
TEXTS = WORDS.map(text)
PATTERNS = st.sampled_from([b"a+", b"b.a", b"^a", b"(?m)^b", b"a|bb", b"[^b]+b"]).map(pattern)
SENDS = st.sampled_from([Send(b"1"), Send(b"22")])


class ScriptTests(SynchronousTestCase):
    def test_sends(self) -> None:
        """What comes first is sent at once, the rest when the expectation before it is met."""
        script = Script([Send(b"a"), Send(b"b"), text(b"x"), Send(b"c")])
        self.assertEqual(script.start(), b"ab")
        self.assertEqual(script.expecting, text(b"x"))
        self.assertEqual([script.feed(b"w"), script.feed(b"x ")], [b"", b"c"])
        self.assertIsNone(script.expecting)

    def test_outcomes(self) -> None:
        """How far a script is performed, and what remains: a prefix or other bytes."""
        for steps, chunks, expected in (
            # Several expectations in one segment, each after the previous match.
            ([text(b"a"), Send(b"1"), text(b"b"), Send(b"2")], [b"ab"], (b"12", 4, True, "")),
            ([text(b"aa"), text(b"aa")], [b"aaa"], (b"", 1, True, "a")),
            ([text(b"aa"), text(b"aa")], [b"aaaa"], (b"", 2, True, "")),
            # Bytes from before a send may match after it.
            ([text(b"a"), Send(b"1"), text(b"c")], [b"abc"], (b"1", 3, True, "")),
            # Prefixes.
            ([text(b"hello")], [], (b"", 0, True, "")),
            ([text(b"hello")], [b"he", b"ll"], (b"", 0, True, "hell")),
            ([text(b"hello")], [b"> hell"], (b"", 0, False, "> hell")),
            ([text(b"hello")], [b"x"], (b"", 0, False, "x")),
            ([text(b"a"), text(b"bb")], [b"ab"], (b"", 1, True, "b")),
            ([text(b"a"), text(b"bb")], [b"ac"], (b"", 1, False, "c")),
            ([text(b"a")], [b"abc"], (b"", 1, True, "bc")),
            # A pattern has none. The match that ends first is consumed; ^ is where it ended.
            ([pattern(b"hello")], [], (b"", 0, True, "")),
            ([pattern(b"hello")], [b"hell"], (b"", 0, False, "hell")),
            ([pattern(b"a+"), text(b"aa")], [b"aaa"], (b"", 2, True, "")),
            ([text(b"a"), pattern(b"^b")], [b"ab"], (b"", 2, True, "")),
            ([text(b"a"), pattern(b"^b")], [b"acb"], (b"", 1, False, "cb")),
        ):
            self.assertEqual(outcome(steps, chunks), expected, steps)

    def test_endsWithExpectation(self) -> None:
        for steps, ends in (
            ([Send(b"a"), text(b"b")], True),
            ([text(b"b"), Send(b"a")], False),
            ([], False),
        ):
            self.assertIs(Script(steps).endsWithExpectation, ends)

    def test_unmatched(self) -> None:
        """It is escaped, and cut."""
        shown = outcome([text(b"never")], [b"\x1b[31m", *[b"y"] * 300])[3]
        self.assertEqual(shown, "\\x1b[31m" + "y" * 195 + "...")

    def test_windows(self) -> None:
        """Beyond the window bytes are discarded: ^ does not match there, a later match is found."""
        much = [b"c" * 100_000]
        late = [b"b" * ExpectPattern.window] * 3
        self.assertEqual(outcome([pattern(b"^b")], much + late)[1], 0)
        self.assertEqual(outcome([pattern(b"x[0-9]+y")], much * 5 + [b"x12", b"3y"])[1], 1)


class BoundTests(SynchronousTestCase):
    def test_memory(self) -> None:
        for step in text(b"never" * 100), pattern(b"never"):
            script = Script([step])
            script.start()
            script.feed(bytes(1 << 20))
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            for _ in range(20):
                script.feed(bytes(1 << 20))
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            self.assertLess(held, 1 << 19)


class ModelTests(SynchronousTestCase):
    @quick
    @given(st.lists(st.one_of(TEXTS, PATTERNS, SENDS), max_size=5), WIRE, CUTS)
    def test_anySegments(self, steps: list[Step], data: bytes, cuts: list[int]) -> None:
        whole = outcome(steps, [data])
        self.assertEqual(outcome(steps, list(pieces(data, cuts))), whole)
        self.assertEqual(outcome(steps, [bytes([byte]) for byte in data]), whole)

    @quick
    @given(st.lists(WORDS, min_size=1, max_size=4), WIRE)
    def test_textsAreFoundInOrder(self, words: list[bytes], data: bytes) -> None:
        left, met = data, 0
        for word in words:
            _, found, after = left.partition(word)
            if not found:
                break
            left, met = after, met + 1
        _, position, onlyPrefix, _ = outcome([text(word) for word in words], [data])
        self.assertEqual(position, met)
        if met < len(words):
            self.assertEqual(onlyPrefix, words[met].startswith(left))


class ScriptClientTests(SynchronousTestCase):
    def play(self, *steps: Step, timeout: float = 5.0) -> Peer:
        """Start a script."""
        self.clock = Clock()
        self.console = MemoryConsole()
        self.client = ScriptClient(self.clock, Script(steps), timeout, self.console)
        return connected(self.client)

    def assertEnded(self, outcome: Outcome, why: str) -> None:
        self.assertEqual(ended(self.client), Result(outcome, why))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lastExpectation(self) -> None:
        """It ends the session; stdin is not read; more bytes are neither printed nor counted."""
        peer = self.play(Send(b"hi"), ExpectText(b"hello"))
        self.assertIs(self.console.reading, False)
        self.assertEqual(peer.value(), b"hi")
        peer.write(b"say hello!")
        self.assertTrue(peer.ended)
        peer.finish(b"more")
        self.assertEnded(Outcome.OK, "sent 2 bytes, received 10")
        self.assertEqual(self.console.printed, b"say hello!")

    def test_lastSend(self) -> None:
        """It half-closes, and the answer is read to the end, however long it takes."""
        peer = self.play(ExpectText(b"name?"), Send(b"hi"))
        self.assertEqual(peer.value(), b"")
        peer.write(b"name?")
        self.assertEqual((peer.value(), peer.ended), (b"hi", True))
        self.clock.advance(3600)
        peer.finish(b"hello")
        self.assertEnded(Outcome.OK, "sent 2 bytes, received 10")
        self.assertEqual(self.console.printed, b"name?hello")

    def test_withoutConsole(self) -> None:
        client = ScriptClient(Clock(), Script([ExpectText(b"a")]), 5.0)
        connected(client).finish(b"a")
        self.assertIs(outcomeOf(client), Outcome.OK)

    def test_notMet(self) -> None:
        """Nothing or a prefix, in time or before FIN, is told from other bytes; all is printed."""
        late, fin = "arrived in 5 s", "arrived before the server closed"
        hello, status = ExpectText(b"hello"), ExpectPattern(re.compile(b"^2\\d\\d "))
        for step, data, timesOut, outcome, why in (
            (hello, b"", True, Outcome.SILENT, f"'hello', but nothing {late}"),
            (hello, b"he", True, Outcome.SILENT, f"'hello', but only 'he' {late}"),
            (hello, b"220 \x1b", True, Outcome.UNEXPECTED, rf"'hello', but '220 \x1b' {late}"),
            (hello, b"", False, Outcome.EOF, f"'hello', but nothing {fin}"),
            (hello, b"hell", False, Outcome.EOF, f"'hello', but only 'hell' {fin}"),
            (hello, b"bye", False, Outcome.UNEXPECTED, f"'hello', but 'bye' {fin}"),
            (
                *(status, b"554 no\r\n", False, Outcome.UNEXPECTED),
                rf"a match of '^2\\d\\d ', but '554 no\r\n' {fin}",
            ),
        ):
            peer = self.play(step)
            peer.write(data)
            self.clock.advance(4.9)
            self.assertFalse(peer.ended)
            self.clock.advance(0.1 if timesOut else 0)
            self.assertIs(peer.ended, timesOut)
            peer.finish()
            self.assertEnded(outcome, f"expected {why}")
            self.assertEqual(self.console.printed, data)

    def test_reset(self) -> None:
        peer = self.play(ExpectText(b"hello"))
        peer.write(b"bye")
        peer.reset()
        self.assertEnded(Outcome.RESET, "the connection was reset")

    def test_truncatedTLS(self) -> None:
        """An expectation that is not met is the reason, even without close_notify."""
        client = ScriptClient(Clock(), Script([ExpectText(b"hello")]), 5.0)
        tls: Any = overTLS(SingleUseFactory(client), None, insecure=True).buildProtocol(None)
        peer = connected(tls)
        client.handshakeCompleted()
        peer.finish()
        self.assertIs(outcomeOf(client), Outcome.EOF)

    def test_longSearch(self) -> None:
        """A regular expression that would take years is interrupted; the signal is free again."""
        before = signal.getsignal(signal.SIGALRM)
        years = ExpectPattern(re.compile(b"(a+)+$"))
        for steps, data in (((years,), b""), ((ExpectText(b"hi"), years), b"hi")):
            peer = self.play(*steps, timeout=0.1)
            peer.write(data + b"a" * 60 + b"b")
            self.assertTrue(peer.ended)
            peer.finish()
            self.assertIs(outcomeOf(self.client), Outcome.UNEXPECTED)
            self.assertIs(signal.getsignal(signal.SIGALRM), before)
        thread = threading.Thread(target=self._searched)
        thread.start()
        thread.join()
        self.assertIs(self.inside, before)

    def _searched(self) -> None:
        with limitedSearch(0):  # no limit in another thread
            self.inside = signal.getsignal(signal.SIGALRM)

    def test_timeouts(self) -> None:
        """Each expectation has its own, which no other bytes prolong."""
        peer = self.play(ExpectText(b"a"), ExpectText(b"b"))
        self.clock.advance(4)
        peer.write(b"a")
        self.clock.advance(4)
        peer.write(b"c")
        self.assertFalse(peer.ended)
        self.clock.advance(1)
        self.assertTrue(peer.ended)
