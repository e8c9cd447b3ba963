"""Servers in memory that a conversation connects to, and both ends of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectingCancelledError, ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.listener import Listener
from tcplab.observers import Observers
from tcplab.testing import Peer, connected
from tcplab.testing.memorytransport import MemorySocket, MemoryTransport


class Servers:
    """
    The endpoint of servers in memory.

    :ivar peers: the servers' ends of the connections that were made.
    :ivar refuses: connections are refused.
    :ivar hangs: connections are not made until `answer`.
    :ivar cancelled: attempts that were cancelled.
    """

    def __init__(self, *, refuses: bool = False, hangs: bool = False) -> None:
        self.peers: list[Peer] = []
        self.refuses, self.hangs = refuses, hangs
        self.cancelled = 0
        self._waiting: list[tuple[Any, Deferred[Any]]] = []

    def connect(self, factory: Any) -> Deferred[Any]:
        if self.refuses:
            return fail(ConnectionRefusedError())
        if self.hangs:
            deferred: Deferred[Any] = Deferred(self._cancel)
            self._waiting.append((factory, deferred))
            return deferred
        return succeed(self._made(factory))

    def answer(self) -> None:
        """Make the connections that hang."""
        self.hangs = False
        waiting, self._waiting = self._waiting, []
        for factory, deferred in waiting:
            deferred.callback(self._made(factory))

    def _made(self, factory: Any) -> Any:
        protocol = factory.buildProtocol(None)
        self.peers.append(Peer(protocol))
        return protocol

    def _cancel(self, deferred: Deferred[Any]) -> None:
        self.cancelled += 1
        self._waiting = [each for each in self._waiting if each[1] is not deferred]
        deferred.errback(ConnectingCancelledError(None))


class Joint:
    """
    A client in memory, a conversation that connects to servers for it, and the servers.

    :ivar client: the client's end.
    :ivar servers: the endpoint.
    """

    def __init__(self, conversation: Any, servers: Servers | None = None) -> None:
        self.servers = servers or Servers()
        conversation.endpoint = lambda: self.servers
        self.client = connected(conversation)
        self.conversation = conversation

    @property
    def server(self) -> Peer:
        """The end of the server that was connected last."""
        return self.servers.peers[-1]

    @property
    def why(self) -> str | None:
        """The reason for which the client's connection was closed."""
        assert self.client.ending is not None
        return self.client.ending.why

    def settle(self) -> None:
        """Let all happen that can."""
        before: list[int] = []
        while before != (now := [len(peer.value()) for peer in self._all()] + self._passed()):
            before = now

    def _all(self) -> list[Peer]:
        return [self.client, *self.servers.peers]

    def _passed(self) -> list[int]:
        return [peer.transport.received + peer.transport.sent for peer in self._all()]

    def advance(self, seconds: float) -> None:
        """Let time pass for all, in small steps."""
        for _ in range(int(seconds * 100)):
            for peer in self._all():
                peer.clock.advance(0.01)
        self.settle()

    def send(self, peer: Peer, *data: bytes) -> None:
        """Have one end send; each piece is passed on before the next."""
        for each in data:
            peer.write(each)
            self.settle()

    def finish(self, *peers: Peer) -> None:
        """Have both ends finish, or one."""
        for peer in peers or (self.client, self.server):
            peer.finish()
            self.settle()

    def reset(self, peer: Peer) -> None:
        """Have one end send a reset."""
        peer.reset()
        self.settle()

    def told(self, peer: Peer) -> bytes:
        """Return what one of the ends has received."""
        self.settle()
        return peer.value()

    def timers(self) -> list[Any]:
        """Return the calls that are scheduled."""
        return [call for peer in self._all() for call in peer.clock.getDelayedCalls()]


class Joining(SynchronousTestCase):
    """Tests with a client and servers in memory."""

    def assertOver(self, joint: Joint) -> None:
        """Check that no connection and no timer is left."""
        self.assertFalse(joint.client.connected)
        for server in joint.servers.peers:
            self.assertFalse(server.connected)
        self.assertEqual(joint.timers(), [])


class _EchoingSocket(MemorySocket):
    """A socket at whose other end everything is returned, the end too."""

    def send(self, data: bytes) -> int:
        self.receiveBuffer += data
        return len(data)

    def shutdown(self, how: int) -> None:
        self.peerFinished = self.finished = True


class Echoing:
    """The endpoint of an echo server, run by a client's reactor in memory."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def connect(self, factory: Any) -> Deferred[Any]:
        protocol, address = factory.buildProtocol(None), ("127.0.0.1", 7)
        transport = MemoryTransport(_EchoingSocket(), protocol, address, None, 1, self._reactor)
        Listener("echo", Observers()).connectionAccepted(transport, None, established=True)
        protocol.makeConnection(transport)
        return succeed(protocol)
