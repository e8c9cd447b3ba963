"""What a lab that was killed has left of a Unix socket: its path, and the lock beside it."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from twisted.internet.error import CannotListenError

#: Seconds in which a lab that is starting may have its lock and not listen yet.
_START_TIME = 1.0


def removeStaleLock(error: BaseException | None) -> bool:
    """
    Remove a lock that nobody holds, which kept us from listening; tell whether there was one.

    The lock has the number of its process, and that number may be another process's by now: in a
    container every lab has the same. Whether somebody listens is asked of the socket.

    :param error: what came of listening.
    """
    path = getattr(error, "port", None)
    if not isinstance(error, CannotListenError) or not isinstance(path, bytes):
        return False
    lock = path + b".lock"
    with suppress(OSError):
        old = time.time() - os.lstat(lock).st_mtime > _START_TIME
        if old and not _isListening(path):
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
        except OSError:  # so many wait there, or we may not ask
            return True
    return True
