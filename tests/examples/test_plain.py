"""Tests for ``examples/plain.py``."""

from __future__ import annotations

from tcplab.testing import connected
from tests.support.terminal_input import Typed, example


class PlainTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        self.assertEqual(self.typed("plain", b""), ["5 bytes so far\n"])
        log = self.log()
        self.assertIn("[Plain,1,127.0.0.1] server: got connection", log)
        self.assertRegex(
            log, r"\[Plain,1,127\.0\.0\.1\] closed by=\w+ how=\w+ .*received=5 sent=15 "
        )

    def test_itIsToldToTheObserversAsAnyOther(self) -> None:
        peer = connected(example("plain").Plain())
        peer.write(b"abc")
        peer.write(b"de")
        self.assertEqual(peer.value(), b"3 bytes so far\n5 bytes so far\n")
        peer.finish()
        assert peer.ending is not None
        self.assertEqual((peer.ending.by, peer.ending.received), ("peer", 5))

    def test_thePeersEndIsTheEndAndWhatWaitsIsLost(self) -> None:
        peer = connected(example("plain").Plain())
        peer.reading, peer.window = False, 4
        peer.finish(b"abc")
        peer.resume()
        self.assertEqual(peer.value(), b"3 by")
        self.assertFalse(peer.connected)

    def test_itIsClosedWhenTheServerDrains(self) -> None:
        peer = connected(example("plain").Plain())
        peer.listener.drain()
        peer.clock.advance(0)
        self.assertTrue(peer.ended)
