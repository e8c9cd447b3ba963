"""Tests for `tcplab.faults.spec`."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults import (
    KINDS,
    Bandwidth,
    Corrupt,
    Fault,
    HalfClose,
    Hang,
    Latency,
    LimitData,
    LimitTime,
    Refuse,
    ResetPeer,
    Slicer,
    SlowClose,
    Stall,
    Timeout,
)
from tcplab.faults.kindlookup import SYNONYMS
from tcplab.faults.spec import (
    FaultError,
    Selection,
    Trigger,
    parseFault,
    readConn,
    readProbability,
)


def chosen(text: str) -> list[int]:
    selection = readConn(text)
    return [number for number in range(1, 10) if selection.includes(number)]


class SelectionTests(SynchronousTestCase):
    """Which connections are meant."""

    def test_conn(self) -> None:
        for text, numbers in (("1-2", [1, 2]), ("3", [3]), ("%3", [3, 6, 9]), ("7-", [7, 8, 9])):
            self.assertEqual(chosen(text), numbers)

    def test_all(self) -> None:
        """Unless they are counted, those too that were there before the fault."""
        self.assertTrue(Selection().includes(None))
        self.assertTrue(Selection().includes(5))
        self.assertFalse(Selection().counts)
        for counted in (Selection(first=2), Selection(last=1), Selection(every=1)):
            self.assertTrue(counted.counts)
            self.assertFalse(counted.includes(None))

    def test_mistakes(self) -> None:
        for text in ("", "0", "-2", "1-0", "%", "%0", "a", "1-2-3", "1,2", "1 -2", "13%2"):
            self.assertRaises(ValueError, readConn, text)
        error = self.assertRaises(ValueError, readConn, "3-2")
        self.assertEqual(str(error), "give the smaller number first, 2-3")

    def test_probability(self) -> None:
        for text, value in (("0", 0), ("1", 1), ("0.1", 0.1), (".5", 0.5), ("1.0", 1)):
            self.assertEqual(readProbability(text), value)
        for text in ("", "2", "1.1", "-0", "10%", "nan", "1e-3"):
            self.assertRaises(ValueError, readProbability, text)


READ: dict[str, Fault] = {
    "latency,latency=100,jitter=20": Latency(0.1, 0.02),
    "latency,latency=2s": Latency(2.0),
    "latency,2s,jitter=1": Latency(2.0, 0.001),
    "bandwidth,rate=64": Bandwidth(64_000),
    "bandwidth,rate=0": Bandwidth(0),
    "bandwidth,rate=1MiB": Bandwidth(2**20),
    "slicer,average_size=10,size_variation=5,delay=1000": Slicer(10, 5, 0.001),
    "limit_data,bytes=100": LimitData(100),
    "limit_data,2B": LimitData(2),
    "limit_data,bytes=1KiB,how=reset": LimitData(1024, "reset"),
    "limit_time,time=2s,how=fin": LimitTime(2.0),
    "timeout": Timeout(),
    "timeout,timeout=500": Timeout(0.5),
    "slow_close,delay=1000": SlowClose(1.0),
    "reset_peer,timeout=250": ResetPeer(0.25),
    "half_close": HalfClose(),
    "stall": Stall(),
    "corrupt,every=1KiB,bits=3": Corrupt(1024, 3),
    "refuse": Refuse(),
    "hang": Hang(),
}


class ReadTests(SynchronousTestCase):
    """What may be typed."""

    def test_faults(self) -> None:
        """Every kind, with the units of its own."""
        for text, fault in READ.items():
            spec = parseFault(text)
            self.assertEqual((spec.fault, spec.text), (fault, text))
        self.assertEqual({text.partition(",")[0] for text in READ}, set(KINDS))

    def test_tooLong(self) -> None:
        problem = self.assertRaises(FaultError, parseFault, "latency," + "k=," * 30_000)
        self.assertIn("has 90008 characters: write at most 65536", str(problem))

    def test_triggers(self) -> None:
        for text, trigger in (
            ("after=10B", Trigger(afterBytes=10)),
            ("after=250ms", Trigger(afterSeconds=0.25)),
            ("after=1KiB,for=2s", Trigger(afterBytes=1024, duration=2.0)),
            (r"match=a\,b\@c\=d\n\x00", Trigger(match=b"a,b@c=d\n\0")),
        ):
            self.assertEqual(parseFault(f"timeout,{text}").trigger, trigger)

    def test_selections(self) -> None:
        spec = parseFault("reset_peer,conn=1-2,probability=0.5@echo-2")
        self.assertEqual(spec.selection, Selection(1, 2, 0, 0.5))
        self.assertEqual(spec.listener, "echo-2")
        self.assertTrue(spec.rolls)
        self.assertFalse(parseFault("reset_peer,probability=1").rolls)

    def test_directions(self) -> None:
        """Unless given, what is sent; a stall is of what is received on that side."""
        for text, received, directions in (
            ("timeout", "upstream", ("downstream",)),
            ("timeout,direction=upstream", "upstream", ("upstream",)),
            ("stall", "upstream", ("upstream",)),
            ("stall", "downstream", ("downstream",)),
            ("stall,direction=both", "upstream", ("downstream", "upstream")),
        ):
            self.assertEqual(parseFault(text).directions(received), directions)


MISTAKES = {
    "": "there is no fault ''; the faults are latency, bandwidth",
    "latncy": "there is no fault 'latncy' (did you mean latency?); the faults are latency, band",
    "reset": "there is no fault 'reset' (did you mean reset_peer?); the",
    "RST,conn=1": "there is no fault 'RST' (did you mean reset_peer?); the",
    "drop=1s": "there is no fault 'drop=1s' (did you mean timeout, limit_data, reset_peer or ha",
    "Slow": "there is no fault 'Slow' (did you mean latency, bandwidth or slicer?); the",
    "latency=100": "'latency=100' names no field: write latency,latency=100 or latency,100",
    "stall=5": "there is no fault 'stall=5' (did you mean stall?); the",
    "stall,5": "'5' should read key=value",
    "latency,1,2": "'2' should read key=value",
    "latency,1,latency=2": "latency is given twice: give it once",
    "latency,delay=5": "latency has no 'delay' (did you mean latency?); it has",
    "latency": "latency needs latency=: write latency,latency=250ms",
    "corrupt": "corrupt needs every=: write corrupt,every=64KB",
    "latency,latency": "'latency' should read latency=value",
    "latency,=5": "'=5' should read key=value",
    "latency,latency=1,latency=2": "latency is given twice: give it once",
    "latency,latency=1,latncy=2": "latency has no 'latncy' (did you mean latency?); it has lat",
    "half_close,how=fin": "half_close has no 'how'; it has after, match, for, conn, count,",
    "half_close,count=byte": "count=byte: give accept or data",
    "latency,latency=x": "latency=x: give a time as in 250ms or 2s (units: us, ms, s, min; a bare",
    "limit_time,time=100": "time=100: give a time as in 250ms or 2s (units: us, ms, s, min)",
    "limit_data,bytes=10,how=x": "how=x: give fin or reset",
    "corrupt,every=10": "every=10: give a number of bytes as in 10B or 64KiB",
    "corrupt,every=0B": "every is 0: give 1B or more",
    "corrupt,every=1B,bits=9": "bits=9: give a whole number from 1 to 8",
    "slicer,average_size=9,size_variation=9": "size_variation must be less than average_size",
    "timeout,after=5": "after=5: give bytes or a time with its unit, as in 10B or 250ms",
    "timeout,after=5B,match=x": "after and match are two triggers: give one",
    "timeout,match=": "match=: give the text that it begins behind",
    "timeout,match=\\q": "match=\\q: unknown escape \\q",
    "timeout,match=a\\": "match ends in a backslash: write \\\\ for one",
    "timeout,for=0s": "for=0s: give more than 0",
    "timeout,for=1B": "for=1B: give a time",
    "half_close,for=1s": "half_close happens at once: for makes no sense",
    "reset_peer,for=1s": "reset_peer happens at once: for makes no sense",
    "timeout,direction=up": "direction=up: give downstream, upstream or both",
    "timeout,conn=0": "conn=0: give 3, 1-2, 4- or %3 (every third)",
    "timeout,probability=2": "probability=2: give a number from 0 to 1, as in 0.1",
    "timeout@": "there is no listener after the @: name one, as in @echo",
    "refuse,conn=1": "conn makes no sense for refuse, which comes before any connection; it",
    "refuse,after=1B": "after is a time here: no byte comes before a connection",
    "hang,x=1": "hang has no 'x'; it has after, for",
}


class MistakesTests(SynchronousTestCase):
    """Each gets one line that names what is allowed."""

    def test_synonyms(self) -> None:
        """Each leads to a kind, and none is the name of one."""
        meant = {kind for kinds in SYNONYMS.values() for kind in re.split(", | or ", kinds)}
        self.assertLessEqual(meant, set(KINDS))
        self.assertEqual(set(SYNONYMS) & set(KINDS), set())

    def test_lines(self) -> None:
        for text, problem in MISTAKES.items():
            error = str(self.assertRaises(FaultError, parseFault, text))
            self.assertTrue(error.startswith(f"fault {text!r}: {problem}"), error)
            self.assertNotIn("\n", error)

    @settings(deadline=None, derandomize=True)
    @given(
        st.sampled_from(sorted(KINDS)),
        st.lists(st.sampled_from(["latency=1", "after=", "match=\n", "=", "\\", "for=1s", "a=b"])),
        st.text(max_size=5),
    )
    def test_anything(self, kind: str, words: list[str], text: str) -> None:
        """Whatever is typed is a fault or one line."""
        typed: Any = ",".join([kind, *words]) + text
        try:
            parseFault(typed)
        except FaultError as e:
            self.assertNotIn("\n", str(e))
