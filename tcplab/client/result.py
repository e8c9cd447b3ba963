"""How a conversation ended: one word, one exit code, one clear line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from errno import ECONNRESET, ENOENT, EPIPE
from os import strerror

from OpenSSL.SSL import Error as TLSError
from service_identity import CertificateError, VerificationError
from twisted.internet import error
from twisted.python.failure import Failure

from tcplab.wire.escaping import escape


class Outcome(IntEnum):
    """The exit codes; the names of those up to 10 are the first words on stderr."""

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
    INTERRUPTED = 130  # 128 + SIGINT, as shells say it
    UNREAD = 141  # 128 + SIGPIPE: stdout was closed, and every filter of Unix ends like that


_WITHOUT_A_WORD = (Outcome.INTERRUPTED, Outcome.UNREAD)


@dataclass(frozen=True)
class Result:
    """
    An outcome and, for people, why.

    :ivar why: one line without a newline; what a peer sent is escaped in it.
    """

    outcome: Outcome
    why: str = ""

    def line(self, label: str, quiet: bool = False) -> str:
        """Return the line for stderr, without a newline; empty when there is nothing to say."""
        if self.outcome in _WITHOUT_A_WORD or (quiet and self.outcome is Outcome.OK):
            return ""
        return f"{self.outcome.name} {label}" + (f": {self.why}" if self.why else "")


class HandshakeFailed(Exception):
    """
    A connection ended before its TLS handshake was complete.

    :ivar reason: what ``connectionLost`` was told.
    """

    def __init__(self, reason: Failure) -> None:
        super().__init__(reason)
        self.reason = reason


# Ours or the endpoint's own, the kernel's, and what a cancelled attempt says.
_TIMED_OUT = (error.TimeoutError, error.TCPTimedOutError, error.ConnectingCancelledError)


def fromConnectError(problem: BaseException, timeout: float, handshaking: bool = False) -> Result:
    """
    Say why there is no connection.

    :param timeout: the seconds there were.
    :param handshaking: the socket was connected, and TLS was not.
    """
    if isinstance(problem, HandshakeFailed):
        return Result(Outcome.TLS, _ofHandshake(problem.reason.value))
    if isinstance(problem, error.ConnectionRefusedError):
        return Result(Outcome.REFUSED, "nobody listens there; is the server running?")
    if isinstance(problem, error.ConnectError) and problem.osError == ENOENT:
        return Result(Outcome.REFUSED, "there is no such socket; is the server running?")
    if isinstance(problem, error.ConnectError) and problem.osError == ECONNRESET:
        return Result(Outcome.RESET, "the connection was reset before it began")
    if isinstance(problem, _TIMED_OUT):
        what = "TLS handshake; does the server speak TLS?" if handshaking else "connection"
        return Result(Outcome.TIMEOUT, f"{timeout:g} s passed without a {what}")
    if isinstance(problem, error.DNSLookupError | error.UnknownHostError | ValueError):
        return Result(Outcome.DNS, "no address is known for this name")
    if isinstance(problem, error.ConnectError) and problem.osError:
        return Result(Outcome.OTHER, strerror(problem.osError))
    return Result(Outcome.OTHER, _oneLine(problem))


def fromConnectionLost(problem: BaseException | None) -> Result:
    """
    Say why a connection was lost that did not end well.

    With TLS 1.3 we are through with the handshake before the server is. What it then has against
    us, that we show no certificate say, is the first that it says (RFC 8446, 4.4.2.4).
    """
    if isinstance(problem, TLSError):
        return Result(Outcome.TLS, f"the server broke off TLS ({_saidByOpenSSL(problem)})")
    return Result(Outcome.RESET, "the connection was reset")


def fromOutputError(errno: int) -> Result:
    """
    Say why stdout takes no more.

    :param errno: the system's reason; 0 if it only said that the reader has gone.
    """
    if errno in (0, EPIPE):
        return Result(Outcome.UNREAD)
    return Result(Outcome.OTHER, f"stdout takes no more: {strerror(errno)}")


def _ofHandshake(problem: BaseException | None) -> str:
    """Say why a handshake failed."""
    if isinstance(problem, VerificationError | CertificateError):
        return "the certificate is not for this name; --insecure goes on all the same"
    if isinstance(problem, TLSError):
        said = _saidByOpenSSL(problem)
        if "certificate verify failed" in said:
            return f"the certificate is not trusted here ({said}); --insecure goes on all the same"
        return f"the handshake failed ({said}); does the server speak TLS?"
    return "the server ended the connection during the handshake; does it speak TLS?"


def _saidByOpenSSL(problem: TLSError) -> str:
    """Return the reasons in OpenSSL's queue of errors."""
    queue = problem.args[0] if problem.args else ""
    if not isinstance(queue, list | tuple):
        return str(queue) or type(problem).__name__
    return ", ".join(str(entry[-1]) for entry in queue) or type(problem).__name__


def _oneLine(problem: BaseException) -> str:
    """Return an exception's own words in one line."""
    words = " ".join(str(problem).split()) or type(problem).__name__
    return words if words.isprintable() else escape(words.encode())
