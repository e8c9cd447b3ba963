"""
The path of a Unix socket: only a dead socket is removed before a lab, only its own after it.

A lock beside the path names a process. Its number proves nothing. It may have been used again,
every lab in a container has the same one, and a process of another container is not seen.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from contextlib import suppress

from twisted.internet import unix
from twisted.internet.error import CannotListenError

#: Seconds in which a lab that starts may hold its lock and not listen yet.
_START_TIME = 1.0


def isServed(path: str | bytes) -> bool:
    """Return whether a process listens on this path."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # its listen queue is full, or there is no right to connect
            return isSocket(path)
    return True


def isSocket(path: str | bytes) -> bool:
    """Return whether a socket has this path; a link is no socket."""
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def removeStaleLock(error: BaseException | None) -> bool:
    """
    Remove the lock that kept a socket from listening, with its path, if no process listens there.

    :param error: why the socket could not listen.
    :return: whether a lock was removed.
    """
    if not isinstance(error, CannotListenError) or not isinstance(error.port, bytes):
        return False
    path, lock = error.port, error.port + b".lock"
    with suppress(OSError):
        age = time.time() - os.lstat(lock).st_mtime  # negative: the clock has gone back since
        mayRemove = isSocket(path) or not os.path.lexists(path)
        if mayRemove and not 0 <= age <= _START_TIME and not isServed(path):
            os.remove(lock)
            with suppress(FileNotFoundError):
                os.remove(path)
            return True
    return False


class BoundPath:
    """
    The path and the lock of a Unix port, which Twisted removes when the port closes.

    :param port: it listens.
    """

    def __init__(self, port: unix.Port) -> None:
        self._port = port
        self._path = port.getHost().name or b""
        self._identity = _identityOf(self._path)

    def rewriteLock(self) -> None:
        """
        Write the number of this process into the lock, after a fork.

        The process that bound the socket has exited, so that the lock looks stale.
        """
        lock = self._port.lockFile
        if lock is not None and not _isOurs(lock.name):
            mine = lock.name + b".%x" % time.time_ns()
            os.symlink(str(os.getpid()), mine)
            os.replace(mine, lock.name)

    def keepOthers(self) -> None:
        """Keep the path and the lock from being removed if they are another program's by now."""
        if self._identity is None:
            return
        if _identityOf(self._path) != self._identity:
            self._port.port = self._port._bindPath = b"\0"  # no file
        lock = self._port.lockFile
        if lock is not None and not _isOurs(lock.name):
            self._port.lockFile = None


def _isOurs(lock: bytes) -> bool:
    try:
        return os.readlink(lock) == os.fsencode(str(os.getpid()))
    except OSError:
        return False


def _identityOf(path: bytes) -> tuple[int, ...] | None:
    # The number of an inode is used again. To connect changes no time; chmod not the one of bind.
    try:
        found = os.lstat(path)
    except (OSError, ValueError):  # ValueError: an abstract name
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns
