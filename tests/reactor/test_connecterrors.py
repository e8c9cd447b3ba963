"""Tests for `tcplab.reactor.connecterrors`."""

from __future__ import annotations

import errno
import os

from OpenSSL import SSL
from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor.connecterrors import connectFailure


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
