"""Where a log is written: a descriptor, a file that is appended to, twistd's own file."""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import Any

from twisted.logger import Logger

log = Logger("tcplab.observers.logfile")

#: The owner reads and writes, the group reads: it contains data of peers.
_MODE = 0o640


class DescriptorWriter:
    """
    Write whole lines to a descriptor; a line that a full disk cut short is repeated on a new line.

    :param number: of the descriptor.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._cut = False

    def __call__(self, line: bytes) -> None:
        """Write a line; block as long as that takes."""
        left = memoryview(b"\n" + line if self._cut else line)
        while left:
            try:
                count = os.write(self._number, left)
            except BlockingIOError:  # a program that shares it has set it to
                ready = select.poll()
                ready.register(self._number, select.POLLOUT)
                ready.poll()
            else:
                self._cut = count < len(left)
                left = left[count:]


class AppendedFile:
    """
    Append whole lines to a file; see `DescriptorWriter` for a disk that is full.

    No link is followed, except below ``/dev``.

    :param path: absolute, for the process may change its folder.
    :raises OSError: it cannot be opened, or is no file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._moved = False
        self._number = _opened(path)
        self._write = DescriptorWriter(self._number)

    def reopen(self) -> None:
        """Open the path again before the next line: the file was moved away."""
        self._moved = True

    def __call__(self, line: bytes) -> None:
        """Write a line; block as long as that takes."""
        if self._moved:
            self._moved = False
            self._reopen()
        self._write(line)

    def _reopen(self) -> None:
        try:
            number = _opened(self._path)
        except OSError as e:
            log.warn(
                "{path} cannot be opened again, the old file goes on: {why}",
                log_system="tcplab",
                path=self._path,
                why=e.strerror,
            )
            return
        os.close(self._number)
        self._number = number
        self._write = DescriptorWriter(number)


def _opened(path: str) -> int:
    device = path.startswith("/dev/")
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    number = os.open(path, flags | (0 if device else os.O_NOFOLLOW), _MODE)
    if not device and not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no plain file")
    return number


class RotatedFile:
    """Write whole lines to twistd's log file, which is rotated; likewise."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._cut = self._moved = False

    def reopen(self) -> None:
        """Open the file again before the next line: it was moved away."""
        self._moved = True

    def __call__(self, line: bytes) -> None:
        file = self._file
        if self._moved:
            self._moved = False
            if os.access(file.directory, os.W_OK | os.X_OK):
                file.reopen()
        file.write(b"\n" + line if self._cut else line)
        # It counts what it was given; a full disk may have taken only a part of that.
        size = file._file.tell()
        self._cut = size < file.size
        if self._cut:
            file.size = size
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
