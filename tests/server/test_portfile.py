"""The port file: whole or not at all, and only when all ports listen."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.server.portfile import prepare, write


def serving(name: str, host: object) -> Any:
    return SimpleNamespace(settings=SimpleNamespace(name=name), host=host)


class PortFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(self.folder)
        self.path = os.path.join(self.folder, "ports")

    def test_write(self) -> None:
        """A line for each listener replaces an old file at once; nothing else is left behind."""
        with open(self.path, "w") as file:
            file.write("old")
        with open(self.path) as reader:
            listeners = [
                serving("lab", IPv4Address("TCP", "127.0.0.1", 50544)),
                serving("lab-2", IPv6Address("TCP", "::1", 7)),
                serving("echo", UNIXAddress(b"/a path/s")),
            ]
            write(self.path, listeners)
            self.assertEqual(reader.read(), "old")  # whole: the new one was moved into its place
        with open(self.path) as file:
            content = "lab 127.0.0.1 50544\nlab-2 ::1 7\necho unix /a path/s\n"
            self.assertEqual(file.read(), content)
        self.assertEqual(os.listdir(self.folder), ["ports"])

    def test_cannotWrite(self) -> None:
        problem = self.assertRaises(SettingsError, write, "/no/such/ports", [])
        self.assertIn("--port-file /no/such/ports cannot be written: No such file", str(problem))

    def test_prepare(self) -> None:
        """A file of an earlier run is removed, if there is one."""
        prepare(self.path)
        write(self.path, [])
        prepare(self.path)
        self.assertEqual(os.listdir(self.folder), [])

    def assertRefused(self, path: str, problem: str) -> None:
        self.assertIn(problem, str(self.assertRaises(SettingsError, prepare, path)))

    def test_refused(self) -> None:
        """What is no plain file stays; a folder must be there, and writable."""
        os.symlink("/dev/null", self.path)
        for path in (self.path, self.folder, "/dev/null"):
            self.assertRefused(path, "no plain file")
            self.assertTrue(os.path.lexists(path))
        self.assertRefused("/no/such/ports", "no folder /no/such")
        os.remove(self.path)
        self.patch(os, "access", lambda path, mode: False)
        self.assertRefused(self.path, "no right to write")
