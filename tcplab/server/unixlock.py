"""The stale lock of a Unix socket: a lab that was killed leaves it behind."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from twisted.internet.error import CannotListenError

#: Seconds in which a lab that starts may hold its lock and not listen yet.
_START_TIME = 1.0


def removeStaleLock(error: BaseException | None) -> bool:
    """
    Remove the lock that kept a socket from listening, with its path, if no process listens there.

    The lock names a process, whose number may have been used again: in a container every lab has
    the same. So the socket is tried instead.

    :param error: why the socket could not listen.
    :return: whether a lock was removed.
    """
    if not isinstance(error, CannotListenError) or not isinstance(error.port, bytes):
        return False
    path, lock = error.port, error.port + b".lock"
    with suppress(OSError):
        age = time.time() - os.lstat(lock).st_mtime  # negative: the clock has gone back since
        if not 0 <= age <= _START_TIME and not _isListening(path):
            os.remove(lock)
            with suppress(FileNotFoundError):
                os.remove(path)
            return True
    return False


def _isListening(path: bytes) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # its listen queue is full, or there is no right to connect
            return True
    return True
