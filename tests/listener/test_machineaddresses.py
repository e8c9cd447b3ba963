"""Tests for `tcplab.listener.machineaddresses`."""

from __future__ import annotations

import socket
import sys

from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener import machineaddresses
from tcplab.listener.machineaddresses import machineAddresses


class AddressesTests(SynchronousTestCase):
    def test_ofThisMachine(self) -> None:
        """Each can be bound, and none is loopback."""
        for address in machineAddresses(True):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family) as probe:
                probe.bind((address, 0))
            self.assertNotIn(address, ("127.0.0.1", "::1"))
        self.assertEqual([each for each in machineAddresses(False) if ":" in each], [])

    def test_ipv6(self) -> None:
        """Global ones only."""
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("fd000000000000000000000000000002 04 40 00 82     eth0\n")
            file.write("fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n")
            file.write("00000000000000000000000000000001 01 80 10 80       lo\n")
        self.patch(machineaddresses, "_INTERFACES_V6", path)
        self.patch(machineaddresses, "_ipv4", lambda: ["127.0.0.1", "192.0.2.2"])
        self.assertEqual(machineAddresses(True), ["192.0.2.2", "fd00::2"])
        self.patch(sys, "platform", "darwin")
        self.assertEqual(machineAddresses(True), [])
