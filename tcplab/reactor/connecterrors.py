"""Why a connection could not be made or was lost, in a few words."""

from __future__ import annotations

import errno
import os
from typing import Any

from OpenSSL.SSL import Error as TLSError
from twisted.internet import error

# What is said of a connection that there is not, or not any more; the first that fits.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (error.ConnectionRefusedError, "refused"),
    (error.TimeoutError, "timed out"),
    (error.TCPTimedOutError, "timed out"),
    (error.ConnectingCancelledError, "timed out"),
    (error.DNSLookupError, "has no address"),
    (error.UnknownHostError, "has no address"),
    (error.ConnectionDone, "closed"),
    (error.ConnectionAborted, "aborted"),
    (error.ConnectionLost, "reset"),
    (TLSError, "failed the TLS handshake"),
)

_ERRNOS = {
    errno.ENOENT: "is not there",
    errno.ECONNRESET: "reset",
    errno.EADDRNOTAVAIL: "cannot be called: bindAddress is not ours, or all our ports are in use",
    errno.EMFILE: "cannot be called: no file descriptors are left",
}


# Why not


def describeConnectError(problem: BaseException | None) -> str:
    """Say in a few words why a connection could not be made, or was lost."""
    number: Any = getattr(problem, "osError", None)
    if number in _ERRNOS:
        return _ERRNOS[number]
    for kind, words in _WORDS:
        if isinstance(problem, kind):
            return words
    if isinstance(number, int):
        return f"cannot be reached: {os.strerror(number)}"
    return " ".join(f"failed: {problem}".split())
