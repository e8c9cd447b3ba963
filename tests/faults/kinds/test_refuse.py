"""Tests for `tcplab.faults.kinds.refuse`."""

from __future__ import annotations

import errno
import os
import socket
import stat

from tcplab.faults import Refuse
from tests.support.fault_ports import HELLO, FaultyPortTests, greeted
from tests.support.ports import free


class RefuseTests(FaultyPortTests):
    """A port that refuses, and serves again."""

    async def assertRefuses(self, endpoint: str) -> None:
        await self.servePort(endpoint)
        for _ in range(3):
            await self.assertServed()
            self.set(Refuse())
            with self.assertRaises(ConnectionRefusedError):
                await self.talk(greeted, self.address)
            self.assertEqual(self.port.socket.getsockname(), self.address)
            self.set(None)
            self.assertEqual(self.port.socket.getsockname(), self.address)
        await self.assertServed()

    async def test_chosen(self) -> None:
        """A port that the system chose stays ours, as often as wanted."""
        await self.assertRefuses("tcp:0:interface=127.0.0.1")

    async def test_given(self) -> None:
        """So does one that was given."""
        await self.assertRefuses(f"tcp:{free()}:interface=127.0.0.1")

    async def test_unix(self) -> None:
        """A Unix socket keeps its path and its mode; an abstract one keeps its name."""
        path = self.unixPath()
        await self.assertRefuses(f"unix:{path}:mode=640")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        await self.assertRefuses(f"unix:\0{path}:lockfile=0")

    async def test_ours(self) -> None:
        """No other process can take the port meanwhile; open connections stay open."""
        await self.servePort()
        with self.connect() as live:
            self.assertEqual(await self.talk(live.recv, 100), HELLO)
            self.set(Refuse())
            for reuse in (0, 1):
                with socket.socket() as other:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
                    with self.assertRaises(OSError) as caught:
                        other.bind(self.address)
                    self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
            live.shutdown(socket.SHUT_WR)
            self.assertEqual(await self.talk(live.recv, 100), b"")
            self.set(None)
        await self.assertServed()
