"""Tests for `tcplab.client.result`."""

from __future__ import annotations

import errno
import os

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet import error
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.client.result import HandshakeFailed, Outcome, Result, fromConnectError, fromOutputError


class EndingTests(SynchronousTestCase):
    def test_theLineBeginsWithTheWord(self) -> None:
        ending = Result(Outcome.REFUSED, "nobody listens there")
        self.assertEqual(
            ending.line("127.0.0.1:50544"), "REFUSED 127.0.0.1:50544: nobody listens there"
        )

    def test_aReasonIsNotNeeded(self) -> None:
        self.assertEqual(Result(Outcome.OK).line("h:1"), "OK h:1")

    def test_quietHidesOnlyWhatIsWell(self) -> None:
        self.assertEqual(Result(Outcome.OK, "fine").line("h:1", quiet=True), "")
        self.assertEqual(Result(Outcome.EOF, "why").line("h:1", quiet=True), "EOF h:1: why")

    def test_anEndByASignalIsNoWord(self) -> None:
        for outcome in Outcome.INTERRUPTED, Outcome.UNREAD:
            self.assertEqual(Result(outcome).line("h:1"), "")

    def test_theCodesAreThoseOfTheManual(self) -> None:
        codes = {outcome.name: int(outcome) for outcome in Outcome}
        self.assertEqual(
            codes,
            {
                **{"OK": 0, "UNEXPECTED": 1, "USAGE": 2, "REFUSED": 3, "TIMEOUT": 4, "DNS": 5},
                **{"RESET": 6, "EOF": 7, "SILENT": 8, "TLS": 9, "OTHER": 10},
                **{"INTERRUPTED": 130, "UNREAD": 141},
            },
        )


class ConnectingTests(SynchronousTestCase):
    def assertOutcome(self, problem: BaseException, outcome: Outcome) -> str:
        ending = fromConnectError(problem, 5.0)
        self.assertIs(ending.outcome, outcome)
        self.assertTrue(ending.why.isprintable())
        self.assertTrue(ending.why)
        return ending.why

    def test_nobodyListens(self) -> None:
        why = self.assertOutcome(error.ConnectionRefusedError(), Outcome.REFUSED)
        self.assertIn("is the server running?", why)

    def test_aUnixSocketThatIsNotThere(self) -> None:
        self.assertOutcome(error.ConnectError(errno.ENOENT, "no"), Outcome.REFUSED)

    def test_noAnswerInTime(self) -> None:
        for problem in (
            error.TimeoutError(),
            error.TCPTimedOutError(errno.ETIMEDOUT, "no"),
            error.ConnectingCancelledError(None),
        ):
            self.assertIn("5 s", self.assertOutcome(problem, Outcome.TIMEOUT))

    def test_noAnswerToTheHandshakeSaysSo(self) -> None:
        ending = fromConnectError(error.TimeoutError(), 0.5, handshaking=True)
        self.assertIs(ending.outcome, Outcome.TIMEOUT)
        self.assertIn("0.5 s passed without a TLS handshake", ending.why)

    def test_aNameThatIsNotKnown(self) -> None:
        self.assertOutcome(error.DNSLookupError("no"), Outcome.DNS)
        self.assertOutcome(error.UnknownHostError("no"), Outcome.DNS)

    def test_aNameThatCanBeNone(self) -> None:
        self.assertOutcome(UnicodeError("label empty or too long"), Outcome.DNS)
        self.assertOutcome(ValueError("invalid hostname: -"), Outcome.DNS)

    def test_aResetBeforeItBegan(self) -> None:
        self.assertOutcome(error.ConnectError(errno.ECONNRESET, "no"), Outcome.RESET)

    def test_anyOtherIsInTheSystemsWords(self) -> None:
        why = self.assertOutcome(error.NoRouteError(errno.ENETUNREACH, "no"), Outcome.OTHER)
        self.assertEqual(why, "Network is unreachable")

    def test_anyOtherExceptionIsOneLine(self) -> None:
        why = self.assertOutcome(RuntimeError("two\nlines\x1b"), Outcome.OTHER)
        self.assertEqual(why, "two lines\\x1b")
        self.assertEqual(self.assertOutcome(RuntimeError(), Outcome.OTHER), "RuntimeError")


class OutputTests(SynchronousTestCase):
    def test_aReaderThatHasGoneIsUnread(self) -> None:
        for number in 0, errno.EPIPE:
            self.assertEqual(fromOutputError(number), Result(Outcome.UNREAD))

    def test_anyOtherErrorIsNamed(self) -> None:
        ending = fromOutputError(errno.ENOSPC)
        self.assertEqual(
            ending.line("h:1"), "OTHER h:1: stdout takes no more: " + os.strerror(errno.ENOSPC)
        )


class HandshakeTests(SynchronousTestCase):
    def why(self, problem: BaseException) -> str:
        ending = fromConnectError(HandshakeFailed(Failure(problem)), 5.0)
        self.assertIs(ending.outcome, Outcome.TLS)
        return ending.why

    def test_aCertificateForSomebodyElse(self) -> None:
        self.assertIn("not for this name", self.why(VerificationError([])))

    def test_aCertificateThatIsNotTrusted(self) -> None:
        why = self.why(TLSError([("SSL routines", "", "certificate verify failed")]))
        self.assertIn("not trusted", why)
        self.assertIn("--insecure", why)

    def test_somethingThatIsNoTLS(self) -> None:
        why = self.why(TLSError([("SSL routines", "", "wrong version number")]))
        self.assertEqual(
            why, "the handshake failed (wrong version number); does the server speak TLS?"
        )

    def test_errorsWithoutWords(self) -> None:
        self.assertIn("(Error)", self.why(TLSError()))
        self.assertIn("(Error)", self.why(TLSError([])))
        self.assertIn("(odd)", self.why(TLSError("odd")))

    def test_anEndInTheMiddle(self) -> None:
        self.assertIn("does it speak TLS?", self.why(CONNECTION_DONE))
