"""Tests for `tcplab.server.collecting`."""

from __future__ import annotations

import json
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.running import ROOT

# In a process of its own: it is for good.
PROGRAM = """
import gc, json, weakref
from tcplab.server.collecting import collectSeldom

class Circle:
    def __init__(self):
        self.round = self

lasting, early = [[] for _ in range(1000)], weakref.ref(Circle())
collectSeldom()
frozen, looked = gc.get_freeze_count(), len(gc.get_objects())
late = weakref.ref(Circle())
many = [[] for _ in range(200_000)]
print(json.dumps([early() is None, frozen > 1000, looked < 1000, late() is None]))
"""


class CollectSeldomTests(SynchronousTestCase):
    def test_whatIsThereStaysAndWhatComesIsStillCollected(self) -> None:
        words = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, check=True, timeout=30)
        self.assertEqual(json.loads(done.stdout), [True, True, True, True])
