"""Tests for `tcplab.observers.logfile`."""

from __future__ import annotations

import errno
import os
import threading

from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from tcplab.observers.logfile import AppendedFile, DescriptorWriter, RotatedFile


class FullDisk:
    """A file on a disk that has room for some bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.data = b""

    def tell(self) -> int:
        return len(self.data)

    def write(self, data: bytes | memoryview) -> int:
        taken = bytes(data)[: self.room]
        self.room -= len(taken)
        self.data += taken
        return len(taken)

    def osWrite(self, number: int, data: memoryview) -> int:
        """Write as ``os.write`` does, which fails where nothing is taken."""
        count = self.write(data)
        if not count:
            raise OSError(errno.ENOSPC, "full")
        return count


class FileCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = os.path.abspath(self.mktemp())

    def read(self, end: str = "") -> bytes:
        with open(self.path + end, "rb") as file:
            return file.read()


class DescriptorTests(SynchronousTestCase):
    """A pipe that takes a part of a line takes the rest later; a full disk has it repeated."""

    def test_fullDisk(self) -> None:
        """A line that failed as a whole is only repeated."""
        for room, data in ((5, b"one\nt\ntwo\nthree\n"), (4, b"one\ntwo\nthree\n")):
            disk = FullDisk(room)
            self.patch(os, "write", disk.osWrite)
            write = DescriptorWriter(99)
            write(b"one\n")
            for _ in range(2):
                self.assertRaises(OSError, write, b"two\n")
            disk.room = 99
            write(b"two\n")
            write(b"three\n")
            self.assertEqual(disk.data, data)

    def test_longLine(self) -> None:
        """A pipe that takes a part of a line takes the rest later, blocking or not."""
        line = b"x" * 300_000 + b"\n"

        def write(into: int) -> None:
            DescriptorWriter(into)(line)
            os.close(into)

        for blocking in (True, False):
            out, into = os.pipe()
            os.set_blocking(into, blocking)
            thread = threading.Thread(target=write, args=(into,))
            thread.start()
            with open(out, "rb") as reader:
                self.assertEqual(reader.read(), line)
            thread.join()


class RotatedTests(FileCase):
    """Twistd's own log file."""

    def setUp(self) -> None:
        super().setUp()
        self.file = LogFile(os.path.basename(self.path), os.path.dirname(self.path))
        self.addCleanup(self.file.close)
        self.write = RotatedFile(self.file)

    def test_fullDisk(self) -> None:
        """The size of the file, by which it is rotated, stays right."""
        file, write, disk = self.file, self.write, FullDisk(5)
        original, file._file = file._file, disk  # type: ignore[assignment]
        write(b"one\n")
        problem = self.assertRaises(OSError, write, b"two\n")
        disk.room = 99
        write(b"two\n")
        self.assertEqual((problem.errno, disk.data), (errno.ENOSPC, b"one\nt\ntwo\n"))
        self.assertEqual(file.size, len(disk.data))
        file._file = original

    def test_reopen(self) -> None:
        """A file that was moved away is made anew; without the folder the old one goes on."""
        self.write(b"one\n")
        os.rename(self.path, self.path + ".1")
        self.write.reopen()
        self.write(b"two\n")
        self.assertEqual((self.read(".1"), self.read()), (b"one\n", b"two\n"))
        self.file.directory += "/gone"
        self.write.reopen()
        self.write(b"three\n")
        self.assertEqual(self.read(), b"two\nthree\n")


class AppendedTests(FileCase):
    def test_append(self) -> None:
        """What is there stays; a file that was moved away is made anew, not for all to read."""
        with open(self.path, "wb") as file:
            file.write(b"before\n")
        write = AppendedFile(self.path)
        write(b"one\n")
        os.rename(self.path, self.path + ".1")
        write(b"two\n")
        write.reopen()
        write(b"three\n")
        self.assertEqual((self.read(".1"), self.read()), (b"before\none\ntwo\n", b"three\n"))
        self.assertEqual(os.stat(self.path).st_mode & 0o007, 0)

    def test_cannotReopen(self) -> None:
        """The old file goes on."""
        write = AppendedFile(self.path)
        os.rename(self.path, self.path + ".1")
        os.mkdir(self.path)
        write.reopen()
        write(b"one\n")
        self.assertEqual(self.read(".1"), b"one\n")

    def test_refused(self) -> None:
        """No folder, no file, no link, nobody reads; a device is none of these."""
        os.mkfifo(self.path + "fifo")
        os.symlink(self.path, self.path + "link")
        for path, number in (
            (self.path + "/file", errno.ENOENT),
            (os.path.dirname(self.path), errno.EISDIR),
            (self.path + "link", errno.ELOOP),
            (self.path + "fifo", errno.ENXIO),
        ):
            self.assertEqual(self.assertRaises(OSError, AppendedFile, path).errno, number)
        AppendedFile("/dev/null")(b"one\n")
