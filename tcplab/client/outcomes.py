"""How a conversation ended: one word, one exit code, one clear line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from errno import ENOENT

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
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
class Ending:
    """
    An outcome and, for people, why.

    :ivar why: one line without a newline; what a peer sent is escaped in it.
    """

    outcome: Outcome
    why: str = ""

    def line(self, label: str, quiet: bool = False) -> str:
        """Return the line for stderr, without its newline, or nothing when there's nothing to say."""
        if self.outcome in _WITHOUT_A_WORD or (quiet and self.outcome is Outcome.OK):
            return ""
        return f"{self.outcome.name} {label}" + (f": {self.why}" if self.why else "")


class HandshakeFailed(Exception):
    """
    A connection ended before its TLS handshake was complete.

    :ivar reason: what `connectionLost` was told.
    """

    def __init__(self, reason: Failure) -> None:
        super().__init__(reason)
        self.reason = reason


def ofConnecting(problem: BaseException, timeout: float) -> Ending:
    """Say why there is no connection."""
    if isinstance(problem, HandshakeFailed):
        return Ending(Outcome.TLS, _ofHandshake(problem.reason.value))
    if isinstance(problem, error.ConnectionRefusedError):
        return Ending(Outcome.REFUSED, "nobody listens there; is the server running?")
    if isinstance(problem, error.ConnectError) and problem.osError == ENOENT:
        return Ending(Outcome.REFUSED, "there is no such socket; is the server running?")
    if isinstance(problem, error.TimeoutError | error.ConnectingCancelledError):
        return Ending(Outcome.TIMEOUT, f"no connection in {timeout:g} s; see --timeout")
    if isinstance(problem, error.DNSLookupError | error.UnknownHostError | UnicodeError):
        return Ending(Outcome.DNS, "no address is known for this name")
    return Ending(Outcome.OTHER, _oneLine(problem))


def _ofHandshake(problem: BaseException | None) -> str:
    """Say why a handshake failed."""
    if isinstance(problem, VerificationError):
        return "the certificate is not for this name; --insecure goes on all the same"
    if isinstance(problem, TLSError):
        said = _saidByOpenSSL(problem)
        if "certificate verify failed" in said:
            return f"{said}: it is not trusted here; --insecure goes on all the same"
        if "wrong version number" in said or "packet length too long" in said:
            return f"the server does not speak TLS ({said})"
        return said
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
