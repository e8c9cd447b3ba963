"""Tests for `tcplab.faults.kinds`."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tcplab import faults
from tcplab.faults import KINDS, Corrupt, End, ResetPeer, Slicer, parseFault
from tcplab.wire.names import FAULTS
from tests.support.fault_pipeline import Bench
from tests.support.tiers import processes

FINISH, HALF, CLOSE, RESET = End.FINISH, End.HALF, End.CLOSE, End.RESET
OVER = "over"

#: A fault; what happens to it; the byte of its hit.
#: Bytes and ends are sent, a number lets so many seconds pass, `OVER` removes the fault; a list is
#: what has left since the list before it.
SCRIPTS: tuple[
    tuple[str, tuple[bytes | End | float | str | list[bytes | End], ...], int | None], ...
] = (
    # Each byte leaves later by as much, the end too; at once when the fault is gone.
    (
        "latency,latency=100",
        (b"a", 0.05, b"b", FINISH, 0.049, [], 0.001, [b"a"], 0.05, [b"b", FINISH]),
        0,
    ),
    ("latency,latency=100", (b"a", b"b", FINISH, OVER, b"c", [b"a", b"b", FINISH, b"c"]), 0),
    # Nothing passes, not even the end, until it is over; an end waits for nothing if nothing waits.
    ("bandwidth,rate=0", (b"abc", FINISH, 1000, [], OVER, [b"abc", FINISH]), 0),
    ("bandwidth,rate=1", (FINISH, [FINISH]), None),
    # Each piece leaves by itself, even without a delay.
    ("slicer,average_size=2", (b"abcde", [b"ab"], 0, [b"cd", b"e"]), 0),
    ("slicer,average_size=1,delay=1s", (b"abc", [b"a"], OVER, b"d", [b"bc", b"d"]), 0),
    # The end is at the byte, not only when the next one arrives.
    ("limit_data,bytes=2", (b"ab", [b"ab", CLOSE]), 2),
    (
        "limit_time,time=2s,how=fin",
        (b"a", 1.99, b"b", [b"a", b"b"], 0.01, b"c", FINISH, [CLOSE]),
        2,
    ),
    ("limit_time,time=2s,how=reset", (b"a", 2, b"b", FINISH, [b"a", RESET]), 1),
    ("limit_time,time=0s", ([CLOSE],), 0),
    # A finished direction is ended all the same, for the other one.
    ("limit_time,time=2s", (FINISH, 2, [FINISH, CLOSE]), 0),
    # What is sent after the FIN goes nowhere, except worse ends.
    ("half_close,match=bye", (b"a by", b"e and more", b"x", [b"a by", b"e", HALF]), 5),
    ("half_close,match=bye", (b"bye", FINISH, RESET, [b"bye", HALF, FINISH, RESET]), 3),
    ("reset_peer", (b"a", FINISH, [RESET]), 0),
    ("reset_peer,timeout=500", (b"a", 0.499, b"b", [b"a", b"b"], 0.001, b"c", [RESET]), 2),
    ("reset_peer,timeout=500", (FINISH, 1000, [FINISH, RESET]), 0),
    ("reset_peer,after=4B", (b"abc", b"def", [b"abc", b"d", RESET]), 4),
    # The end is late; a reset overtakes it, and the worst of several is left.
    ("slow_close,delay=2s", (b"a", FINISH, [b"a"], 2, [FINISH]), 1),
    ("slow_close,delay=2s", (FINISH, RESET, 1000, [RESET]), 0),
    ("slow_close,delay=2s", (FINISH, CLOSE, OVER, [CLOSE], 1000, []), 0),
    # All that a stall has held goes on when it is over.
    ("stall,after=4B,for=2s", (b"abc", b"def", FINISH, [b"abc", b"d"], 2, [b"ef", FINISH]), 4),
    ("timeout,timeout=500", (b"a", FINISH, 0.499, [], 0.001, [CLOSE]), 0),
    ("timeout,after=10B", (b"123456789", b"0ab", b"cd", [b"123456789", b"0"]), 10),
    (r"timeout,match=a\,b\n", (b"xa,", b"b\ny", [b"xa,", b"b\n"]), 5),
    # A stream has no holes: it is closed when a fault that has dropped bytes is removed.
    ("timeout", (b"a", OVER, [CLOSE]), 0),
    ("timeout,for=2s", (2, b"a", [b"a"]), 0),
    ("timeout,for=2s", (FINISH, 2, [FINISH]), 0),
    # Triggers: a fault acts between two moments; an end passes one that has not begun.
    (
        "bandwidth,rate=0,after=250ms,for=2s",
        (b"a", 0.25, b"b", 1.99, [b"a"], 0.01, b"c", [b"b", b"c"]),
        1,
    ),
    ("reset_peer,after=1s", (FINISH, 1, [FINISH, RESET]), 0),
    # The first byte that a fault changes is counted from the first of the stream.
    ("corrupt,every=1B,bits=8,after=3B", (bytes(2), bytes(4), [bytes(2), b"\0", b"\xff" * 3]), 3),
)


class ScriptTests(SynchronousTestCase):
    """What each kind of fault does to a stream."""

    def test_scripts(self) -> None:
        for text, steps, at in SCRIPTS:
            bench = Bench(text)
            kind = text.partition(",")[0]
            for step in steps:
                if isinstance(step, list):
                    self.assertEqual(bench.came, step, text)
                    bench.came.clear()
                elif isinstance(step, bytes):
                    bench.say(step)
                elif isinstance(step, End):
                    bench.pipeline.head.end(step)
                elif isinstance(step, str):
                    bench.remove(f"{kind}-1")
                else:
                    bench.clock.advance(step)
            self.assertEqual(bench.hits, [] if at is None else [(kind, at)], text)
            if OVER in steps or (isinstance(steps[-1], list) and isinstance(steps[-1][-1], End)):
                self.assertEqual(bench.clock.getDelayedCalls(), [], text)

    def test_pressure(self) -> None:
        """The source of what a fault holds is paused; what it discards waits nowhere."""
        for text, data, full, discards in (
            ("bandwidth,rate=0", bytes(2**18 - 1), False, False),
            ("bandwidth,rate=0", bytes(2**18), True, False),
            ("latency,latency=100", bytes(2**18), True, False),
            ("stall,after=4B", b"abc", False, False),
            ("stall,after=4B", b"abcd", True, False),
            ("timeout", bytes(2**20), False, True),
            ("reset_peer", b"a", False, True),
            ("limit_data,bytes=2", b"a", False, False),
            ("limit_data,bytes=2", b"ab", False, True),
        ):
            bench = Bench(text)
            bench.say(data)
            self.assertEqual((bench.full, bench.discards), (full, discards), text)
            self.assertEqual(
                bench.pipeline.held, len(data) - len(bench.data) if not discards else 0
            )

    def test_stallEnds(self) -> None:
        """The source goes on."""
        bench = Bench("stall,for=2s")
        bench.say(b"a")
        changes = bench.changes
        bench.clock.advance(2)
        self.assertFalse(bench.full)
        self.assertGreater(bench.changes, changes)

    def test_seeded(self) -> None:
        """The same seed does the same at the same times, another one does not."""
        for text in (
            "latency,latency=100,jitter=90",
            "slicer,average_size=10,size_variation=5,delay=1",
            "corrupt,every=10B",
        ):
            seen = []
            for seed in (1, 1, 2):
                bench = Bench(text, seed=seed)
                bench.say(*[bytes(100)] * 10)
                bench.idle()
                seen.append((bench.came, bench.times))
            self.assertEqual(seen[0], seen[1], text)
            self.assertNotEqual(seen[0], seen[2], text)

    def test_values(self) -> None:
        """Whether dice are rolled, whether it acts at once, and what is refused."""
        self.assertEqual(
            (Slicer(5).rolls, Slicer(5, 1).rolls, Corrupt(1).rolls), (False, True, True)
        )
        self.assertEqual((ResetPeer().atOnce, ResetPeer(1.0).atOnce), (True, False))
        for kind, *values in ((Slicer, 0), (Slicer, 5, 5), (Corrupt, 0), (Corrupt, 1, 9)):
            self.assertRaises(ValueError, kind, *values)


class KindsTests(SynchronousTestCase):
    """The table of kinds."""

    def test_names(self) -> None:
        """Each class knows its name; the package exports it."""
        self.assertEqual({name: kind.kind for name, kind in KINDS.items()}, {n: n for n in FAULTS})
        for kind in KINDS.values():
            self.assertIs(getattr(faults, kind.__name__), kind)
        self.assertIsNone(KINDS.get("nothing"))

    @processes
    def test_lazy(self) -> None:
        """Neither the names nor the package load a fault before it is looked up."""
        program = (
            "import sys, tcplab.wire.names, tcplab.faults; before = set(sys.modules);"
            " tcplab.faults.KINDS['stall'];"
            " print(*sorted(name for name in before if name.startswith('tcplab.faults')));"
            " print(*(n for n in sys.modules if n.startswith('tcplab.faults.kinds.')))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        self.assertEqual(done.stdout, b"tcplab.faults\ntcplab.faults.kinds.stall\n")

    def test_documented(self) -> None:
        """Each field is explained, and can be read."""
        for kind in KINDS.values():
            for name, field in kind.named().items():
                self.assertIn(f":ivar {name}:", kind.__doc__ or "")
                self.assertTrue(callable(field.metadata["read"]))

    def test_endless(self) -> None:
        """What keeps a connection open without end."""
        for text, endless in (
            ("timeout", True),
            ("timeout,timeout=1", False),
            ("stall", True),
            ("bandwidth,rate=0", True),
            ("bandwidth,rate=1", False),
            ("latency,latency=1", False),
        ):
            self.assertEqual(parseFault(text).fault.endless, endless, text)
