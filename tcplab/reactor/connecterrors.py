"""Why a connection could not be made, or was lost: a word, a phrase and a line."""

from __future__ import annotations

import errno
import os
from typing import Literal, NamedTuple

from OpenSSL.SSL import Error as TLSError
from twisted.internet import error

from tcplab.reactor.tlsreasons import tlsReason
from tcplab.wire.escaping import escape

Word = Literal["REFUSED", "TIMEOUT", "DNS", "RESET", "OTHER"]


class ConnectFailure(NamedTuple):
    """
    Why there is no connection, or none any more.

    :ivar word: the kind of failure.
    :ivar phrase: what the server or the connection did, as in "the server refused".
    :ivar line: a line for people about a connection that was never made; printable.
    """

    word: Word
    phrase: str
    line: str


_NO_ADDRESS = "no address is known for this name"
_LATE = "the time for a connection has passed"

# None: the text is the error's own.
_Row = tuple[Word, str | None, str | None]

_ERRNOS: dict[int, _Row] = {
    errno.ENOENT: (
        "REFUSED",
        "is not there",
        "there is no such socket; is the server running?",
    ),
    errno.ECONNRESET: ("RESET", "reset", "the connection was reset before it began"),
    errno.EADDRNOTAVAIL: (
        "OTHER",
        "cannot be connected to: bindAddress is not ours, or all our ports are in use",
        None,
    ),
    errno.EMFILE: ("OTHER", "cannot be connected to: no file descriptors are left", None),
}

# The first that fits.
_ERRORS: dict[type[BaseException], _Row] = {
    error.ConnectionRefusedError: (
        "REFUSED",
        "refused",
        "no server listens there; is it running?",
    ),
    error.TimeoutError: ("TIMEOUT", "timed out", _LATE),
    error.TCPTimedOutError: ("TIMEOUT", "timed out", _LATE),
    error.ConnectingCancelledError: ("TIMEOUT", "timed out", _LATE),
    error.DNSLookupError: ("DNS", "has no address", _NO_ADDRESS),
    error.UnknownHostError: ("DNS", "has no address", _NO_ADDRESS),
    error.ConnectionDone: ("OTHER", "closed", None),
    error.ConnectionAborted: ("OTHER", "aborted", None),
    error.ConnectionLost: ("OTHER", "reset", None),
    TLSError: ("OTHER", "failed the TLS handshake", None),
    ValueError: ("DNS", None, _NO_ADDRESS),
}


def lacksDescriptors(problem: BaseException | None) -> bool:
    """Tell whether a connection could not be made for want of a file descriptor."""
    return _errnoOf(problem) in (errno.EMFILE, errno.ENFILE)


def _errnoOf(problem: BaseException | None) -> int:
    number = problem.osError if isinstance(problem, error.ConnectError) else None
    return number if isinstance(number, int) else 0  # an endpoint may have put its text there


def connectFailure(problem: BaseException | None) -> ConnectFailure:
    """Return why a connection could not be made, or was lost."""
    number = _errnoOf(problem)
    row = _ERRNOS.get(number)
    if row is None:
        row = next((row for kind, row in _ERRORS.items() if isinstance(problem, kind)), None)
    said, word, phrase, line = _oneLine(problem), *(row or ("OTHER", None, None))
    reason = tlsReason(problem)
    if reason:
        return ConnectFailure("OTHER", f"failed the TLS handshake: {reason}", reason)
    if number:
        reason = os.strerror(number)
        return ConnectFailure(word, phrase or f"cannot be reached: {reason}", line or reason)
    return ConnectFailure(word, phrase or f"failed: {said}", line or said)


def _oneLine(problem: BaseException | None) -> str:
    words = " ".join(str(problem).split()) or type(problem).__name__
    return words if words.isprintable() else escape(words.encode("utf-8", "surrogateescape"))
