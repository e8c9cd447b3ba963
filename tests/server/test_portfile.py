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


class PortFile(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(self.folder)
        self.path = os.path.join(self.folder, "ports")

    def content(self) -> str:
        with open(self.path, encoding="utf-8") as file:
            return file.read()


class Write(PortFile):
    def test_a_line_for_each_listener(self) -> None:
        write(
            self.path,
            [
                serving("lab", IPv4Address("TCP", "127.0.0.1", 50544)),
                serving("lab-2", IPv6Address("TCP", "::1", 7)),
                serving("echo", UNIXAddress(b"/a path/s")),
            ],
        )
        self.assertEqual(self.content(), "lab 127.0.0.1 50544\nlab-2 ::1 7\necho unix /a path/s\n")

    def test_nothing_else_is_left_in_the_folder(self) -> None:
        write(self.path, [])
        self.assertEqual(os.listdir(self.folder), ["ports"])

    def test_appears_at_once(self) -> None:
        # A reader that holds the old file keeps it whole: the new one was moved into its place.
        with open(self.path, "w") as file:
            file.write("old")
        with open(self.path) as reader:
            write(self.path, [])
            self.assertEqual(reader.read(), "old")

    def test_what_cannot_be_written_is_one_line(self) -> None:
        problem = self.assertRaises(SettingsError, write, "/no/such/ports", [])
        self.assertIn("--port-file /no/such/ports cannot be written: No such file", str(problem))


class Prepare(PortFile):
    def refused(self, path: str) -> str:
        return str(self.assertRaises(SettingsError, prepare, path))

    def test_nothing_there_is_fine(self) -> None:
        prepare(self.path)
        self.assertEqual(os.listdir(self.folder), [])

    def test_file_of_an_earlier_run_is_removed(self) -> None:
        write(self.path, [])
        prepare(self.path)
        self.assertFalse(os.path.exists(self.path))

    def test_folder_that_is_not_there_is_refused(self) -> None:
        self.assertIn("no folder /no/such", self.refused("/no/such/ports"))

    def test_what_is_no_plain_file_is_refused_and_stays(self) -> None:
        os.symlink("/dev/null", self.path)
        for path in (self.path, self.folder, "/dev/null"):
            self.assertIn("no plain file", self.refused(path))
            self.assertTrue(os.path.lexists(path))

    def test_folder_without_the_right_to_write_is_refused(self) -> None:
        self.patch(os, "access", lambda path, mode: False)
        self.assertIn("no right to write", self.refused(self.path))
