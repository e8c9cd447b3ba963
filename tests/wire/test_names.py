"""Tests for `tcplab.wire.names`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.framing import CRLF, Int32, Lines, Netstrings, Stream
from tcplab.wire.names import FRAMINGS


class FramingNameTests(SynchronousTestCase):
    def test_namesForTheCommandLine(self) -> None:
        names = {"stream": Stream, "lines": Lines, "crlf": CRLF}
        self.assertEqual(FRAMINGS, {**names, "netstrings": Netstrings, "int32": Int32})
