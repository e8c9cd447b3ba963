"""The port file: where a lab listens, for programs to read."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable

from tcplab.config.errors import SettingsError
from tcplab.server.endpointlistener import EndpointListener
from tcplab.server.endpoints import portFileFields

#: What a lab writes: ``NAME HOST PORT`` or ``NAME unix PATH``.
_LINES = re.compile(rb"(?:\S+ (?:unix .+|\S+ (?:\d+|-))\n)*")

#: Bytes; a lab of ten thousand listeners writes less.
_MOST = 2**20


class PortFile:
    """
    The port file of a lab. While the lab runs, it holds a lock on the file (flock).

    Only a file that a lab wrote is removed or replaced, and only when that lab has ended. No link
    is followed.

    :param path: its path, absolute.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._locked: int | None = None

    def prepare(self) -> None:
        """
        Remove the file of an earlier run: that it exists shall mean that all ports listen.

        :raises SettingsError: the file could not be written later, or is not an ended lab's.
        """
        folder = os.path.dirname(self._path)
        if not os.path.isdir(folder):
            raise self._error(f": there is no folder {folder}: make it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise self._error(f": no right to write in {folder}: name another place")
        if self._isStale():
            os.remove(self._path)

    def write(self, listeners: Iterable[EndpointListener]) -> None:
        """
        Write a line for each listener, ``NAME HOST PORT`` or ``NAME unix PATH``.

        The file is written beside its place and renamed, so that no reader finds a part of it.

        :raises SettingsError: it cannot be written.
        """
        text = "".join(
            f"{each.settings.name} {' '.join(portFileFields(each.host))}\n" for each in listeners
        )
        self._isStale()
        beside = f"{self._path}.{secrets.token_hex(8)}"
        try:
            # Exclusively: in a folder of many users no file or link of another is opened.
            self._locked = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                fcntl.flock(self._locked, fcntl.LOCK_EX)
                with open(self._locked, "wb", closefd=False) as file:
                    file.write(text.encode("utf-8", "surrogateescape"))
                os.replace(beside, self._path)
            except OSError:
                os.remove(beside)
                raise
        except OSError as e:
            raise self._error(f" cannot be written: {e.strerror}") from None

    def _isStale(self) -> bool:
        # Whether there is a file that a lab wrote, which has ended; any other is refused.
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        except OSError:
            raise self._error(" is no plain file: name one that may be replaced") from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._error(" is no plain file: name one that may be replaced")
            if not _LINES.fullmatch(os.read(descriptor, _MOST)):
                raise self._error(" was not written by a lab: remove it, or name another")
            if not _lockable(descriptor):
                raise self._error(" is that of a lab which runs: stop that, or name another")
        finally:
            os.close(descriptor)
        return True

    def _error(self, problem: str) -> SettingsError:
        return SettingsError(f"--port-file {self._path}{problem}")


def _lockable(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
