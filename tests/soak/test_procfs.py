"""Tests for ``soak.procfs``: the kernel's tables, as they were once."""

from __future__ import annotations

import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from soak.procfs import connections, connectionsOf, counted, descriptorsOf, kernelMemory

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:C570 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0
   1: 0100007F:C570 0100007F:8001 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0
   2: 0100007F:C570 0100007F:8002 08 00000000:00000000 00:00000000 00000000     0        0 3 1 0
   3: 0100007F:C570 0100007F:8003 06 00000000:00000000 03:00000ABC 00000000     0        0 0 3 0
   4: 0100007F:C570 0100007F:8004 03 00000000:00000000 01:00000ABC 00000000     0        0 0 1 0
"""

LISTING = """\
ESTAB 0 0 127.0.0.1:50544 127.0.0.1:32769
\t skmem:(r1000,rb131072,t0,tb87040,f96,w2000,o0,bl0,d0)
ESTAB 0 0 127.0.0.1:50544 127.0.0.1:32770
\t skmem:(r0,rb131072,t0,tb87040,f-32,w5,o0,bl0,d7)
"""

COUNTERS = """\
TcpExt: SyncookiesSent SyncookiesRecv
TcpExt: 12 3
IpExt: InNoRoutes InTruncatedPkts
IpExt: 0 4
"""


class TableTests(SynchronousTestCase):
    def test_whatNobodyOwnsIsLeftOut(self) -> None:
        found = list(connections(TABLE))
        self.assertEqual([(each.port, each.state) for each in found], [(0xC570, 1), (0xC570, 8)])

    def test_kernelMemoryIsWhatIsUsedOfIt(self) -> None:
        self.assertEqual(kernelMemory(LISTING), [3096, 5])
        self.assertEqual(kernelMemory(""), [])

    def test_counters(self) -> None:
        self.assertEqual(counted(COUNTERS, "SyncookiesRecv"), 3)
        self.assertEqual(counted(COUNTERS, "InTruncatedPkts"), 4)
        self.assertRaises(KeyError, counted, COUNTERS, "NoSuchCounter")


class OwnTests(SynchronousTestCase):
    """This very process has descriptors and connections."""

    def test_connectionsComeAndGo(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            before = descriptorsOf(os.getpid())
            self.assertEqual(connectionsOf(os.getpid(), {port}), 0)
            with socket.create_connection(server.getsockname()), server.accept()[0]:
                self.assertEqual(connectionsOf(os.getpid(), {port}), 1)
                self.assertEqual(descriptorsOf(os.getpid()), before + 2)
            self.assertEqual(descriptorsOf(os.getpid()), before)
