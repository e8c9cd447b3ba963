"""Why TLS failed: OpenSSL's reasons, and which certificate was refused."""

from __future__ import annotations

import re

from OpenSSL.crypto import X509, X509StoreContext, X509StoreContextError
from OpenSSL.SSL import Connection, Context, Error, X509VerificationCodes
from service_identity import CertificateError, VerificationError

from tcplab.wire.escaping import escape

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
    elif isinstance(problem, Error):
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
        if isinstance(problem, Error) and refused is not None:
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
