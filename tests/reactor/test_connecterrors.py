"""Tests for `tcplab.reactor.connecterrors`."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any

from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_PEM, load_certificate, load_privatekey
from service_identity import VerificationError
from twisted.internet import error
from twisted.internet.main import CONNECTION_DONE
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor.connecterrors import connectFailure, explain, recordRefusals, tlsReason
from tests.support.certificates import Authority, localhostPEM

AUTHORITY = Authority()


def context(pem: bytes = b"", *, verify: bool = False, ciphers: bytes = b"") -> SSL.Context:
    """Make a context with a certificate, that trusts the authority if it verifies at all."""
    made = SSL.Context(SSL.TLS_METHOD)
    if pem:
        made.use_certificate(load_certificate(FILETYPE_PEM, pem))
        made.use_privatekey(load_privatekey(FILETYPE_PEM, pem))
    if verify:
        store = made.get_cert_store()
        assert store is not None
        store.add_cert(load_certificate(FILETYPE_PEM, AUTHORITY.pem))
        made.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    if ciphers:
        made.set_cipher_list(ciphers)
        made.set_max_proto_version(SSL.TLS1_2_VERSION)
    return made


def handshake(*contexts: SSL.Context) -> tuple[str, str]:
    """Shake hands in memory; return what each end, the client first, says of its failure."""
    client, server = ends = [SSL.Connection(each) for each in contexts]
    client.set_connect_state()
    server.set_accept_state()
    said = ["", ""]
    for turn in range(8):
        end, other = ends[turn % 2], ends[1 - turn % 2]
        try:
            end.do_handshake()
            end.recv(1)
        except SSL.WantReadError:
            pass
        except SSL.Error as problem:
            if not said[turn % 2]:
                explain(problem, end)
                said[turn % 2] = tlsReason(problem)
        with contextlib.suppress(SSL.WantReadError):
            other.bio_write(end.bio_read(65536))
    return said[0], said[1]


class ReasonTests(SynchronousTestCase):
    def test_handshakes(self) -> None:
        """Each end has its own reason; the one that refuses a certificate names it."""
        plain, good = context(localhostPEM()), AUTHORITY.signed("good")
        old = context(AUTHORITY.signed("old\x1b", days=-1))
        unverified, required = "certificate verify failed, ", context(good, verify=True)
        recordRefusals(required)
        selfSigned = f"{unverified}self-signed certificate: CN=localhost"
        for contexts, client, server in (
            ((context(), plain), "", ""),
            ((context(verify=True), context(good)), "", ""),
            ((context(verify=True), plain), selfSigned, "the peer's alert: unknown ca"),
            ((plain, required), "the peer's alert: unknown ca", selfSigned),
            (
                (context(verify=True), old),
                f"{unverified}certificate has expired: CN=old\\x1b",
                "the peer's alert: certificate expired",
            ),
            (
                (context(), required),
                "the peer's alert: certificate required",
                "peer did not return a certificate",
            ),
            (
                (old, required),
                "the peer's alert: certificate expired",
                f"{unverified}certificate has expired: CN=old\\x1b",
            ),
            (
                (context(ciphers=b"AES128-SHA"), plain),
                "the peer's alert: handshake failure",
                "no shared cipher",
            ),
        ):
            self.assertEqual(handshake(*contexts), (client, server))

    def test_problems(self) -> None:
        """Another name; what is no failure of TLS, or only the end of the connection."""
        end: Any = SSL.Connection(context())
        end.get_peer_cert_chain = lambda: [load_certificate(FILETYPE_PEM, localhostPEM())]
        for problem, said in (
            (VerificationError([]), "the certificate is for another name, CN=localhost"),
            (SSL.Error([("SSL routines", "", "http request")]), "http request"),
            (SSL.Error("odd\n"), "odd\\n"),
            (SSL.Error([("SSL routines", "", "unexpected eof while reading")]), ""),
            (SSL.SysCallError(-1, "Unexpected EOF"), ""),
            (SSL.Error(), ""),
            (CONNECTION_DONE, ""),
        ):
            explain(problem, end)
            self.assertEqual(tlsReason(problem), said)


class ConnectFailureTests(SynchronousTestCase):
    def test_table(self) -> None:
        """The word, the phrase, and how the line begins, of each kind of error."""
        unreachable = os.strerror(errno.EHOSTUNREACH)
        used = os.strerror(errno.EADDRNOTAVAIL)
        for problem, word, phrase, line in (
            (error.ConnectionRefusedError(errno.ECONNREFUSED), "REFUSED", "refused", "no server"),
            (error.TimeoutError(), "TIMEOUT", "timed out", "the time"),
            (error.TCPTimedOutError(errno.ETIMEDOUT, ""), "TIMEOUT", "timed out", "the time"),
            (error.ConnectingCancelledError(None), "TIMEOUT", "timed out", "the time"),
            (error.DNSLookupError(), "DNS", "has no address", "no address is known"),
            (error.UnknownHostError("a"), "DNS", "has no address", "no address is known"),
            (ValueError("no name"), "DNS", "failed: no name", "no address is known"),
            (error.ConnectError(errno.ENOENT), "REFUSED", "is not there", "there is no such sock"),
            (error.ConnectError(errno.ECONNRESET), "RESET", "reset", "the connection was reset"),
            (
                error.ConnectError(errno.EHOSTUNREACH),
                *("OTHER", f"cannot be reached: {unreachable}", unreachable),
            ),
            (
                error.ConnectBindError(errno.EADDRNOTAVAIL),
                *("OTHER", "cannot be connected to: bindAddress is not ours, or all our", used),
            ),
            (
                error.ConnectError(errno.EINVAL),
                *("OTHER", "cannot be connected to: a link-local address needs", "Invalid arg"),
            ),
            (error.ConnectionDone(), "OTHER", "closed", "Connection was closed cleanly."),
            (error.ConnectionLost(), "OTHER", "reset", "Connection to the other side was lost"),
            (error.ConnectionAborted(), "OTHER", "aborted", "Connection was aborted"),
            (SSL.Error([]), "OTHER", "failed the TLS handshake", "[]"),
            (SSL.Error("odd"), "OTHER", "failed the TLS handshake: odd", "odd"),
            (RuntimeError("too\nbad\x1b"), "OTHER", "failed: too bad\\x1b", "too bad\\x1b"),
            (RuntimeError(), "OTHER", "failed: RuntimeError", "RuntimeError"),
        ):
            failure = connectFailure(problem)
            self.assertEqual(failure.word, word, problem)
            self.assertEqual(failure.phrase[: len(phrase)], phrase, problem)
            self.assertEqual(failure.line[: len(line)], line, problem)
