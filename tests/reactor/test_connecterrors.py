"""Tests for `tcplab.reactor.connecterrors`."""

from __future__ import annotations

import errno
import os
import socket

from OpenSSL import SSL
from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor import clientendpoint
from tcplab.reactor.connecterrors import describeConnectError


class WhyNotTests(SynchronousTestCase):
    def test_inAFewWords(self) -> None:
        for problem, words in (
            (error.ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "refused"),
            (error.TimeoutError(), "timed out"),
            (error.TCPTimedOutError(errno.ETIMEDOUT, ""), "timed out"),
            (error.ConnectingCancelledError(None), "timed out"),
            (error.DNSLookupError(), "has no address"),
            (error.ConnectError(errno.ENOENT), "is not there"),
            (error.ConnectError(errno.ECONNRESET), "reset"),
            (
                error.ConnectError(errno.EHOSTUNREACH),
                f"cannot be reached: {os.strerror(errno.EHOSTUNREACH)}",
            ),
            (error.ConnectionDone(), "closed"),
            (error.ConnectionLost(), "reset"),
            (error.ConnectionAborted(), "aborted"),
            (SSL.Error([]), "failed the TLS handshake"),
            (RuntimeError("too\nbad"), "failed: too bad"),
        ):
            self.assertEqual(describeConnectError(problem), words)

    def test_probesLeaveNothingOpen(self) -> None:
        with socket.socket() as before:
            lowest = before.fileno()
        self.assertTrue(clientendpoint._isLocal("127.0.0.1"))
        with socket.socket() as after:
            self.assertEqual(after.fileno(), lowest)
