"""Tests for `tcplab.listener.peeraddress`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.peeraddress import connectionPeerKey, peerKey


class KeyTests(SynchronousTestCase):
    """The key under which the connections of one peer are counted."""

    def test_ofAddress(self) -> None:
        """An IPv4 address, mapped or not (RFC 4291, 2.5.5.2); the first 64 bits of an IPv6 one."""
        for host, key in (
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8:0:0:ffff::", "2001:db8::/64"),
            ("2001:db8::%eth0", "2001:db8::/64"),
            ("::1", "::/64"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:c000:201", "192.0.2.1"),
        ):
            self.assertEqual(peerKey((host, 1, 0, 0) if ":" in host else (host, 1)), key, host)
        for unix in ("", b"", "/run/x", b"\0x", None, (b"/run/x", None), ("", None), ()):
            self.assertIsNone(peerKey(unix), unix)

    def test_ofConnection(self) -> None:
        for address, key in (
            (IPv4Address("TCP", "192.0.2.1", 5), "192.0.2.1"),
            (IPv6Address("TCP", "2001:db8::1", 5), "2001:db8::/64"),
            (UNIXAddress(b"/run/x"), None),
        ):
            transport: Any = SimpleNamespace(connection=SimpleNamespace(peer=address))
            self.assertEqual(connectionPeerKey(transport), key)
