"""Listening addresses, for programs and for people."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.addresses import placeOf, reachOf, shownAs


class Addresses(SynchronousTestCase):
    four = IPv4Address("TCP", "127.0.0.1", 80)
    six = IPv6Address("TCP", "::", 80)
    unix = UNIXAddress(b"/a/s")

    def test_place(self) -> None:
        self.assertEqual(placeOf(self.four), ("127.0.0.1", "80"))
        self.assertEqual(placeOf(self.six), ("::", "80"))
        self.assertEqual(placeOf(self.unix), ("unix", "/a/s"))
        self.assertEqual(placeOf(UNIXAddress(b"\0name")), ("unix", "@name"))

    def test_shown(self) -> None:
        self.assertEqual(shownAs(self.four), "127.0.0.1:80")
        self.assertEqual(shownAs(self.six), "[::]:80")
        self.assertEqual(shownAs(self.unix), "/a/s")

    def test_reach(self) -> None:
        everyone = "reachable from every network this machine is on"
        self.assertEqual(reachOf(self.four), "reachable from this machine only")
        self.assertEqual(reachOf(IPv6Address("TCP", "::1", 80)), "reachable from this machine only")
        self.assertEqual(reachOf(self.six), everyone)
        self.assertEqual(reachOf(IPv4Address("TCP", "0.0.0.0", 80)), everyone)
        self.assertIn("who may open it", reachOf(self.unix))
        self.assertIn("can reach 192.0.2.1", reachOf(IPv4Address("TCP", "192.0.2.1", 80)))

    def test_address_of_a_kind_that_is_not_known(self) -> None:
        self.assertEqual(placeOf(object())[1], "-")  # type: ignore[arg-type]
        self.assertIn("lets in", reachOf(object()))  # type: ignore[arg-type]
