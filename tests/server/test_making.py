"""The service that is asked for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.observers import Observers
from tcplab.server import making
from tcplab.server.making import makeLab
from tcplab.server.service import LabService
from tcplab.server.settings import SettingsError, fromWords
from tcplab.server.supervisor import Supervisor

_IMPORTED = """
import sys
from tcplab import tap
options = tap.Options()
options.parseOptions(["--port", "0"])
lab = tap.makeService(options)
print(sorted(name for name in sys.modules if name.startswith("tcplab.server.")))
"""


class Making(SynchronousTestCase):
    def make(self, *descriptors: int, **words: Any) -> LabService:
        self.patch(making, "handedOver", lambda: list(descriptors))
        self.reactor = MemoryReactorClock()
        return makeLab(fromWords(**words), words, self.reactor, Observers())

    def test_one_process(self) -> None:
        self.assertIs(type(self.make()), LabService)

    def test_several(self) -> None:
        lab: Any = self.make(workers="2")
        self.assertIsInstance(lab, Supervisor)
        self.assertEqual(lab._spawning._words, {"workers": "2"})

    def test_what_was_handed_over_is_adopted(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            descriptor = os.dup(found.fileno())
            lab = self.make(descriptor, port="0")
            self.successResultOf(lab.listen())
            port: Any = lab.servings[0].port
            self.assertEqual(port.fileno(), descriptor)
            self.assertEqual(self.reactor.tcpServers, [])
            port.connectionLost(None)

    def test_as_many_as_there_are_listeners(self) -> None:
        problem = self.assertRaises(SettingsError, self.make, 90, 91)
        self.assertIn("LISTEN_FDS=2, and there are 1 listeners: hand over", str(problem))

    def test_endpoints_of_systemd_choose_theirs(self) -> None:
        serve = ["echo@systemd:domain=INET:index=7"]
        problem = self.assertRaises(SettingsError, self.make, 90, 91, serve=serve)
        self.assertIn("systemd has handed over no such socket", str(problem))

    def test_what_nobody_asked_for_is_not_even_imported(self) -> None:
        words = [sys.executable, "-c", _IMPORTED]
        imported = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        self.assertIn("tcplab.server.service", imported)
        for name in ("adopting", "crew", "member", "scoreboard", "sharing", "supervisor", "worker"):
            self.assertNotIn(f"tcplab.server.{name}'", imported)
