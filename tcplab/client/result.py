"""How a session ended: one word, one exit status, one line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from errno import EPIPE
from os import strerror

from OpenSSL.SSL import Error as TLSError
from service_identity import CertificateError, VerificationError
from twisted.python.failure import Failure

from tcplab.reactor.connecterrors import connectFailure, tlsReason


class Outcome(IntEnum):
    """The exit statuses; the names of those up to 10 are the first words on stderr."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 3
    TIMEOUT = 4
    DNS = 5
    RESET = 6
    EOF = 7
    SILENT = 8
    TLS = 9
    OTHER = 10
    INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
    UNREAD = 141  # 128 + SIGPIPE: stdout was closed; all filters of Unix end like that


_SILENT = (Outcome.INTERRUPTED, Outcome.UNREAD)


@dataclass(frozen=True)
class Result:
    """
    An outcome and its reason.

    :ivar why: one line for the user, without a newline; bytes from a peer are escaped in it.
    """

    outcome: Outcome
    why: str = ""

    def line(self, label: str, quiet: bool = False) -> str:
        """Return the line for stderr, without a newline; empty if none is due."""
        if self.outcome in _SILENT or (quiet and self.outcome is Outcome.OK):
            return ""
        return f"{self.outcome.name} {label}" + (f": {self.why}" if self.why else "")


class HandshakeFailed(Exception):
    """
    A connection ended before its TLS handshake was complete.

    :ivar reason: the reason of ``connectionLost``.
    """

    def __init__(self, reason: Failure) -> None:
        super().__init__(reason)
        self.reason = reason


def fromConnectError(problem: BaseException, timeout: float, handshaking: bool = False) -> Result:
    """
    Return the result of a failed attempt to connect.

    :param timeout: the limit of the attempt, in seconds.
    :param handshaking: the socket was connected, and the handshake of TLS had begun.
    """
    if isinstance(problem, HandshakeFailed):
        return Result(Outcome.TLS, _handshakeError(problem.reason.value))
    failure = connectFailure(problem)
    outcome = Outcome[failure.word]
    if outcome is Outcome.TIMEOUT:
        what = "TLS handshake; does the server speak TLS?" if handshaking else "connection"
        return Result(outcome, f"{timeout:g} s passed without a {what}")
    return Result(outcome, failure.line)


def fromConnectionLost(problem: BaseException | None) -> Result:
    """
    Return the result of a connection that did not end cleanly.

    With TLS 1.3 the client completes the handshake before the server does. The server may then
    answer with an alert: for example, it requires a certificate of the client (RFC 8446, 4.4.2.4).
    """
    if isinstance(problem, TLSError):
        return Result(Outcome.TLS, f"the server broke off TLS ({_reasons(problem)})")
    return Result(Outcome.RESET, "the connection was reset")


def fromOutputError(errno: int) -> Result:
    """
    Return the result of a session whose stdout accepts no more.

    :param errno: the error of the last write; 0: the reader of a pipe has closed it.
    """
    if errno in (0, EPIPE):
        return Result(Outcome.UNREAD)
    return Result(Outcome.OTHER, f"stdout accepts no more: {strerror(errno)}")


def _handshakeError(problem: BaseException | None) -> str:
    """Return why a handshake failed, in words."""
    if isinstance(problem, VerificationError | CertificateError):
        return "the certificate is not for this name; --insecure accepts it"
    if isinstance(problem, TLSError):
        said = _reasons(problem)
        if "certificate verify failed" in said:
            return f"the certificate is not trusted here ({said}); --insecure accepts it"
        return f"the handshake failed ({said}); does the server speak TLS?"
    return "the server ended the connection during the handshake; does it speak TLS?"


def _reasons(problem: TLSError) -> str:
    return tlsReason(problem) or type(problem).__name__
