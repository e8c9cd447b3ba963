"""What runs where Python lacks what it lacks on macOS: all but the eager reactor."""

from __future__ import annotations

from unittest import TestCase

from tests.support.subprocess_server import ROOT, lab, run, scratch
from tests.support.tiers import processes

MACOS = f"env PYTHONPATH={ROOT / 'tests/support/macos'}:{ROOT}"

#: Imports all but the eager reactor.
IMPORTS = """
import pkgutil, importlib, select, tcplab
assert not hasattr(select, "epoll")
for each in pkgutil.walk_packages(tcplab.__path__, "tcplab."):
    if not each.name.endswith(("__main__", ".eager")):
        importlib.import_module(each.name)
"""


@processes
class MacOSTests(TestCase):
    def test_imports(self) -> None:
        ended = run(f"{MACOS} python -c '{IMPORTS}'")
        self.assertEqual((ended.returncode, ended.stderr), (0, b""))

    def test_serves(self) -> None:
        """Those that end first too, with workers and without; ``hang`` fills the queue instead."""
        for spec, options, answer, status in (
            ("ack", "--workers 1", b"You are connected!", 0),
            ("greeting", "", b"Hello from server!", 0),
            ("echo", "--fault limit_data,bytes=2B", b"hi", 0),
            ("whoami", "", b"name=", 0),
            ("echo", "--fault reset_peer,after=1B", b"h", 6),
            ("echo", "--fault hang", b"", 4),
        ):
            with self.subTest(f"{spec} {options}"):
                folder = scratch(self)
                server = lab(f"{MACOS} twistd -n tcplab -b {spec} {options}", folder)
                self.addCleanup(server.kill)
                asked = run(
                    f"{MACOS} tcplab connect 127.0.0.1:{server.port} --send hide --timeout 2"
                )
                self.assertEqual(asked.returncode, status, f"{asked} {server.output}")
                self.assertTrue(asked.stdout.startswith(answer), asked)
                self.assertEqual(server.stop(), 0, server.output)
                self.assertNotIn("Traceback", server.output)
                self.assertIn(".MonotonicPollReactor.", server.output)
