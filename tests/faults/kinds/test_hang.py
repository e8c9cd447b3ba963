"""Tests for `tcplab.faults.kinds.hang`."""

from __future__ import annotations

import os
import socket
import sys

from twisted.trial.unittest import SkipTest

from tcplab.faults import Hang, Refuse
from tcplab.faults.kinds import hang
from tests.support.fault_ports import HELLO, SYN_SENT, FaultyPortTests, connect, stateOf


class HangTests(FaultyPortTests):
    """A port whose kernel does not answer, and serves again."""

    async def test_tcpWithoutRights(self) -> None:
        """As with them, for all usual clients."""
        self.patch(hang, "_SO_ATTACH_FILTER", -1)
        await self.test_tcp()

    async def test_anyTTL(self) -> None:
        """Also of clients that send with the highest TTL."""
        await self.servePort("tcp:0:interface=127.0.0.1")
        self.set(Hang())
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
            sock.connect_ex(self.address)
            if os.geteuid() or sys.platform != "linux":
                raise SkipTest("the kernel may refuse a socket filter")
            self.assertEqual(stateOf(sock), SYN_SENT)

    async def test_tcp(self) -> None:
        """The SYN is not answered, over IPv6 and over IPv4; its repetition is, after the fault."""
        for interface, host in (
            ("127.0.0.1", "127.0.0.1"),
            (r"\:\:1", "::1"),
            (r"\:\:", "::1"),
            (r"\:\:", "127.0.0.1"),
        ):
            await self.servePort(f"tcp{'6' * (':' in interface)}:0:interface={interface}")
            self.address = (host, self.address[1])
            self.set(Hang())
            with connect(self.address) as sock:
                for _ in range(100):
                    self.assertEqual(stateOf(sock), SYN_SENT)
                self.set(None)
                sock.setblocking(True)
                sock.settimeout(10)
                self.assertEqual(await self.talk(sock.recv, 100), HELLO)
            await self.assertServed()

    async def test_unix(self) -> None:
        """A connect waits until the fault is over; no observer is told of the fault's fillers."""
        await self.servePort(f"unix:{self.unixPath()}")
        for fault, error in ((Refuse(), ConnectionRefusedError), (Hang(), BlockingIOError)) * 2:
            self.set(fault)
            with self.assertRaises(error):
                connect(self.address)
        self.set(None)
        await self.assertServed()
        await self.listener.whenEmpty()
        self.assertEqual(self.listener.nextNumber(), 2)
