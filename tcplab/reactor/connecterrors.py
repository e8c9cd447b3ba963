"""Why a connection could not be made, or was lost: a word, a phrase and a line; why TLS failed."""

from __future__ import annotations

import errno
import os
import re
from typing import Literal, NamedTuple

from OpenSSL.crypto import X509, X509StoreContext, X509StoreContextError
from OpenSSL.SSL import Connection, Context, X509VerificationCodes
from OpenSSL.SSL import Error as TLSError
from service_identity import CertificateError, VerificationError
from twisted.internet import error

from tcplab.wire.escaping import escape

# TLS

_CODES = {code: name for name, code in vars(X509VerificationCodes).items() if name[:4] == "ERR_"}

# As in "tlsv1 alert unknown ca": alerts are received; one that is sent has another reason here.
_ALERT = re.compile("(?:tls|ssl)[^ ]* alert ")

_UNVERIFIED = "certificate verify failed"


class _Refused:
    """A certificate of a peer that was refused, and why."""

    def __init__(self, why: str, certificate: X509) -> None:
        self._why = why
        self._certificate = certificate

    def __str__(self) -> str:
        return f"{self._why}: {_subject(self._certificate)}"


def tlsReason(problem: object) -> str:
    """
    Return OpenSSL's reasons for a failure of TLS, printable, as in ``http request``.

    Behind them is what `explain` found. It is empty if TLS did not fail, or if all that is wrong is
    the end of the connection.
    """
    if isinstance(problem, VerificationError | CertificateError):
        found = ["the certificate is for another name"]
    elif isinstance(problem, TLSError):
        queue = problem.args[0] if problem.args else ()
        entries = [(queue,)] if isinstance(queue, str) else queue if isinstance(queue, list) else ()
        found = [_ALERT.sub("the peer's alert: ", str(entry[-1])) for entry in entries]
        if any("unexpected eof" in each for each in found):
            return ""
    else:
        return ""
    return escape(", ".join([*found, *vars(problem).get("__notes__", ())]).encode())


def explain(problem: BaseException | None, connection: Connection) -> None:
    """Add a note to a failure of TLS that names the certificate, if one is the reason."""
    if isinstance(problem, VerificationError | CertificateError):
        chain = connection.get_peer_cert_chain()
        if chain:
            problem.add_note(_subject(chain[0]))
    elif _UNVERIFIED in tlsReason(problem):
        refused = connection.get_app_data()
        if not isinstance(refused, _Refused):
            refused = _verifyAgain(connection)
        if isinstance(problem, TLSError) and refused is not None:
            problem.add_note(str(refused))


def recordRefusals(context: Context) -> None:
    """Let connections of a server's context keep the certificate of a client that is refused."""
    context.set_verify(context.get_verify_mode(), _verified)


def _verified(connection: Connection, certificate: X509, code: int, depth: int, valid: int) -> bool:
    if not valid:
        name = _CODES.get(code, f"error {code}").removeprefix("ERR_").replace("_", " ").lower()
        why = re.sub(r"\bcert\b", "certificate", name.removeprefix("depth zero "))
        why = why.replace("self signed", "self-signed")
        connection.set_app_data(_Refused(why, certificate))
    return bool(valid)


def _verifyAgain(connection: Connection) -> _Refused | None:
    # Only a client's connection still has the chain that was refused.
    chain = connection.get_peer_cert_chain()
    store = connection.get_context().get_cert_store()
    if chain and store is not None:
        try:
            X509StoreContext(store, chain[0], chain[1:]).verify_certificate()
        except X509StoreContextError as error:
            return _Refused(str(error), error.certificate)
    return None


def _subject(certificate: X509) -> str:
    subject = certificate.to_cryptography().subject.rfc4514_string()
    return subject[:100] or "it names no subject"


# Connections

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
_SCOPE = "a link-local address needs its interface, as in fe80::1%eth0"
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
    errno.EINVAL: (
        "OTHER",
        "cannot be connected to: " + _SCOPE,
        f"{os.strerror(errno.EINVAL)}: {_SCOPE}",
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
