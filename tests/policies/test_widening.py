"""Tests for `tcplab.policies.widening`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies import widening
from tcplab.policies.widening import widen


class WidenTests(SynchronousTestCase):
    """Real sockets; only whether the peer is heard of is what the test says."""

    def setUp(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        self.peer = socket.create_connection(listening.getsockname())
        self.addCleanup(self.peer.close)
        self.socket, _ = listening.accept()
        self.addCleanup(self.socket.close)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)

    def size(self) -> int:
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def say(self) -> None:
        """Have something there that nobody has read."""
        self.peer.sendall(b"x")
        self.socket.recv(1, socket.MSG_PEEK)

    def unheard(self) -> None:
        """Have it look as if nothing came back: the first byte of all, the state, is never 0."""
        self.patch(widening, "_UNHEARD", slice(0, 1))

    def test_itGrows(self) -> None:
        """As long as nothing comes back, but not for ever."""
        self.say()
        self.unheard()
        before = self.size()
        self.assertTrue(widen(self))
        self.assertEqual(self.size(), before + 256 * 1024)
        for _ in range(10):
            self.assertTrue(widen(self))
        self.assertEqual(self.size(), 1024 * 1024)

    def test_whoOnlyDoesNotReadIsHeard(self) -> None:
        """Then the buffer stays as it is."""
        self.say()
        before = self.size()
        self.assertFalse(widen(self))
        self.assertEqual(self.size(), before)

    def test_nothingToRead(self) -> None:
        """It was not for want of room that nothing came."""
        self.unheard()
        before = self.size()
        self.assertFalse(widen(self))
        self.assertEqual(self.size(), before)

    def test_noSuchSocket(self) -> None:
        """Unix sockets have no acknowledgements, and some transports have no socket."""
        self.unheard()
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        other.send(b"x")
        for sock in (one, None, object()):
            transport: Any = Transport()
            transport.socket = sock
            self.assertFalse(widen(transport))
        self.assertFalse(widen(Transport()))


class Transport:
    """May have a socket."""
