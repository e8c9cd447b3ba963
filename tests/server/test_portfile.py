"""The port file: whole or not at all, and only when all ports listen."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from tcplab.config.errors import SettingsError
from tcplab.server.portfile import PortFile


def serving(name: str, host: object) -> Any:
    return SimpleNamespace(settings=SimpleNamespace(name=name), host=host)


class PortFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(self.folder)
        self.path = os.path.join(self.folder, "ports")

    def put(self, text: str) -> None:
        with open(self.path, "w") as file:
            file.write(text)

    def test_write(self) -> None:
        """A line for each listener replaces an old file at once; nothing else is left behind."""
        self.put("")
        with open(self.path) as reader:
            listeners = [
                serving("lab", IPv4Address("TCP", "127.0.0.1", 50544)),
                serving("lab-2", IPv6Address("TCP", "::1", 7)),
                serving("echo", UNIXAddress(b"/a path/s")),
            ]
            PortFile(self.path).write(listeners)
            self.assertEqual(reader.read(), "")  # whole: the new one was moved into its place
        with open(self.path) as file:
            content = "lab 127.0.0.1 50544\nlab-2 ::1 7\necho unix /a path/s\n"
            self.assertEqual(file.read(), content)
        self.assertEqual(os.listdir(self.folder), ["ports"])

    def test_cannotWrite(self) -> None:
        problem = self.assertRaises(SettingsError, PortFile("/no/such/ports").write, [])
        self.assertIn("--port-file /no/such/ports cannot be written: No such file", str(problem))
        os.makedirs(f"{self.path}/folder")
        self.patch(PortFile, "_isStale", lambda self: False)
        self.assertRaises(SettingsError, PortFile(self.path).write, [])
        self.assertEqual(os.listdir(self.folder), ["ports"])

    def test_prepare(self) -> None:
        """The file of an ended lab is removed; that of one which runs is not."""
        first, second = PortFile(self.path), PortFile(self.path)
        first.prepare()
        first.write([])
        for refused in (second.prepare, lambda: second.write([])):
            error = self.assertRaises(SettingsError, refused)
            self.assertIn("is that of a lab which runs: stop that", str(error))
        self.assertEqual(os.listdir(self.folder), ["ports"])
        assert first._locked is not None
        os.close(first._locked)
        second.prepare()
        self.assertEqual(os.listdir(self.folder), [])

    def assertRefused(self, path: str, problem: str) -> None:
        self.assertIn(problem, str(self.assertRaises(SettingsError, PortFile(path).prepare)))

    def test_refused(self) -> None:
        """What no lab wrote stays; a folder must be there, and writable."""
        os.symlink("/dev/null", self.path)
        for path in (self.path, self.folder, "/dev/null"):
            self.assertRefused(path, "no plain file")
            self.assertTrue(os.path.lexists(path))
        os.remove(self.path)
        self.put("my notes\n")
        self.assertRefused(self.path, "was not written by a lab: remove it, or name another")
        self.assertRefused("/no/such/ports", "no folder /no/such")
        self.patch(os, "access", lambda path, mode: False)
        self.assertRefused(self.path, "no right to write")
