"""Tests for `tcplab.faults.kinds`."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tcplab import faults
from tcplab.faults import KINDS
from tcplab.faults.spec import parseFault
from tcplab.wire.names import FAULTS
from tests.support.tiers import processes


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
        """What keeps a connection until somebody ends it."""
        for text, endless in (
            ("timeout", True),
            ("timeout,timeout=1", False),
            ("stall", True),
            ("bandwidth,rate=0", True),
            ("bandwidth,rate=1", False),
            ("latency,latency=1", False),
        ):
            self.assertEqual(parseFault(text).fault.endless, endless, text)
