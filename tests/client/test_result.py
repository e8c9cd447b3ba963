"""Tests for `tcplab.client.result`."""

from __future__ import annotations

import errno
import os

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet import error
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.result import (
    HandshakeFailed,
    Outcome,
    Result,
    fromConnectError,
    fromConnectionLost,
    fromOutputError,
)

UNTRUSTED = TLSError([("SSL routines", "", "certificate verify failed")])
PLAINTEXT = TLSError([("SSL routines", "", "wrong version number")])


class ResultTests(SynchronousTestCase):
    def test_line(self) -> None:
        """The word, the address and the reason; quiet hides success, a signal has no word."""
        for result, quiet, line in (
            (Result(Outcome.REFUSED, "why not"), False, "REFUSED h:1: why not"),
            (Result(Outcome.OK), False, "OK h:1"),
            (Result(Outcome.OK, "fine"), True, ""),
            (Result(Outcome.EOF, "why"), True, "EOF h:1: why"),
            (Result(Outcome.INTERRUPTED), False, ""),
            (Result(Outcome.UNREAD), False, ""),
        ):
            self.assertEqual(result.line("h:1", quiet), line)

    def test_statuses(self) -> None:
        """The exit statuses are those of the manual."""
        words = "OK UNEXPECTED USAGE REFUSED TIMEOUT DNS RESET EOF SILENT TLS OTHER"
        statuses = {word: status for status, word in enumerate(words.split())}
        statuses |= {"INTERRUPTED": 130, "UNREAD": 141}
        self.assertEqual({outcome.name: int(outcome) for outcome in Outcome}, statuses)


class FromErrorTests(SynchronousTestCase):
    def test_connectErrors(self) -> None:
        """The words are those of `connectFailure`; a timeout says what was missing."""
        running = "running?"
        speak = "0.5 s passed without a TLS handshake; does the server speak TLS?"
        for problem, handshaking, outcome, why in (
            (error.ConnectionRefusedError(), False, Outcome.REFUSED, running),
            (error.ConnectError(errno.ENOENT, ""), False, Outcome.REFUSED, running),
            (error.TimeoutError(), False, Outcome.TIMEOUT, "0.5 s passed without a connection"),
            (error.ConnectingCancelledError(None), True, Outcome.TIMEOUT, speak),
            (error.DNSLookupError("no"), False, Outcome.DNS, "no address is known"),
            (error.ConnectError(errno.ECONNRESET, ""), False, Outcome.RESET, "before it began"),
            (
                error.NoRouteError(errno.ENETUNREACH, ""),
                *(False, Outcome.OTHER, "Network is unreachable"),
            ),
            (RuntimeError("two\nlines\x1b"), False, Outcome.OTHER, "two lines\\x1b"),
        ):
            result = fromConnectError(problem, 0.5, handshaking)
            self.assertIs(result.outcome, outcome)
            self.assertIn(why, result.why)

    def test_handshakes(self) -> None:
        """A handshake that failed says what may be wrong."""
        for problem, why in (
            (VerificationError([]), "not for this name; --insecure"),
            (UNTRUSTED, "not trusted here (certificate verify failed); --insecure"),
            (PLAINTEXT, "the handshake failed (wrong version number); does the server speak TLS?"),
            (TLSError(), "(Error)"),
            (TLSError([]), "(Error)"),
            (TLSError("odd"), "(odd)"),
            (CONNECTION_DONE, "does it speak TLS?"),
        ):
            result = fromConnectError(HandshakeFailed(Failure(problem)), 5.0)
            self.assertIs(result.outcome, Outcome.TLS)
            self.assertIn(why, result.why)

    def test_lostConnections(self) -> None:
        lost, broken = fromConnectionLost(CONNECTION_LOST), fromConnectionLost(PLAINTEXT)
        self.assertEqual(lost, Result(Outcome.RESET, "the connection was reset"))
        self.assertIs(broken.outcome, Outcome.TLS)
        self.assertIn("broke off TLS (wrong version number)", broken.why)

    def test_outputErrors(self) -> None:
        """A closed pipe needs no words; any other error has the system's."""
        for number in 0, errno.EPIPE:
            self.assertEqual(fromOutputError(number), Result(Outcome.UNREAD))
        full = f"stdout accepts no more: {os.strerror(errno.ENOSPC)}"
        self.assertEqual(fromOutputError(errno.ENOSPC), Result(Outcome.OTHER, full))
