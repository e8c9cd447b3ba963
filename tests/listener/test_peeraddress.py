"""Tests for `tcplab.listener.peeraddress`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.peeraddress import connectionPeerKey, peerKey


class PeerOfTests(SynchronousTestCase):
    """Who counts as one peer."""

    def test_ipv4(self) -> None:
        self.assertEqual(peerKey(("192.0.2.1", 40000)), "192.0.2.1")

    def test_ipv6(self) -> None:
        """The network that its first 64 bits name."""
        for host in ("2001:db8::1", "2001:db8:0:0:ffff::", "2001:db8::%eth0"):
            self.assertEqual(peerKey((host, 1, 0, 0)), "2001:db8::/64")
        self.assertEqual(peerKey(("::1", 1, 0, 0)), "::/64")

    def test_mapped(self) -> None:
        """RFC 4291, 2.5.5.2."""
        for host in ("::ffff:192.0.2.1", "::ffff:c000:201"):
            self.assertEqual(peerKey((host, 1, 0, 0)), "192.0.2.1")

    def test_unix(self) -> None:
        for address in ("", b"", "/run/x", b"\0x", None, (b"/run/x", None), ("", None), ()):
            self.assertIsNone(peerKey(address), address)


class PeerBehindTests(SynchronousTestCase):
    """Who a connection is from."""

    def test_peers(self) -> None:
        for address, name in (
            (IPv4Address("TCP", "192.0.2.1", 5), "192.0.2.1"),
            (UNIXAddress(b"/run/x"), None),
        ):
            self.connection = self
            self.peer = address
            self.assertEqual(connectionPeerKey(self), name)
