"""Tests for `tcplab.reactor.announced`; tests.policies.test_proxyprotocol has it on sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor.announced import Announced

ADA = IPv4Address("TCP", "203.0.113.9", 4711)


class Transport:
    """What is asked of one."""

    sessionno = 7
    logstr = "Ack,7,127.0.0.1"
    protocol = None

    def _getLogPrefix(self, protocol: object) -> str:
        return "Ack"

    def getPeer(self) -> IAddress:
        return IPv4Address("TCP", "127.0.0.1", 1)


class AnnouncedTests(SynchronousTestCase):
    def test_names(self) -> None:
        for peer, address, name in (
            (ADA, ("203.0.113.9", 4711), "203.0.113.9"),
            (IPv6Address("TCP", "2001:db8::1", 5), ("2001:db8::1", 5), "2001:db8::1"),
            (UNIXAddress(b"/run/\x1b,1,"), b"", "/run/\\x1b,1,"),
            (UNIXAddress(None), b"", "unix"),
        ):
            announced = Announced(peer, None)
            self.assertEqual((announced.address, announced.name), (address, name))

    def test_ofATransport(self) -> None:
        transport: Any = Transport()
        Announced(ADA, "header").of(transport)
        self.assertEqual((transport.getPeer(), transport.announced), (ADA, "header"))
        self.assertEqual(transport.logstr, "Ack,7,203.0.113.9")
        self.assertEqual(type(transport).getPeer(transport).host, "127.0.0.1")
