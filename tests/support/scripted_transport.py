"""A protocol that takes the steps a test lists, in memory, over our transports and Twisted's."""

from __future__ import annotations

import random
from typing import Any
from unittest import TestCase

from hypothesis import strategies
from twisted.internet import tcp
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from tcplab.listener.events import Ending
from tcplab.listener.servertransport import UnixServer
from tcplab.testing import Peer
from tcplab.testing import peer as module
from tcplab.testing.memorytransport import MemoryTransport

#: What is written, whoever writes it: a byte that comes out is at its place, or it is not.
PATTERN = random.Random(0).randbytes(2**22)

#: One step: its name and its argument.
Step = tuple[str, Any]


class Actor(Protocol):
    """
    Write the pattern, in the steps of a script.

    :ivar written: how far the pattern has been written.
    :ivar promised: how far it had been written when the end was asked for; ``None``: it was not.
    :ivar broken: it was asked for an end that keeps no promises.
    :ivar stubborn: once the end was asked for, take no other script.
    """

    stubborn = False

    def __init__(self) -> None:
        self.scripts: list[list[Step]] = []
        self.written = 0
        self.promised: int | None = None
        self.broken = False
        self.lost = 0

    def dataReceived(self, data: bytes) -> None:
        if self.scripts:
            self.take(self.scripts.pop())

    def connectionLost(self, reason: Any = None) -> None:
        self.lost += 1

    def take(self, steps: list[Step]) -> None:
        if self.stubborn and self.promised is not None:
            return
        for name, argument in steps:
            getattr(self, name)(argument)

    def more(self, size: int) -> bytes:
        self.written += size
        return PATTERN[self.written - size : self.written]

    def open(self) -> bool:
        transport: Any = self.transport
        return bool(transport.connected and not transport._aborting)

    # The steps

    def write(self, size: int) -> None:
        if self.open() and not self.transport._writeDisconnected:  # type: ignore[union-attr]
            self.transport.write(self.more(size))  # type: ignore[union-attr]

    def sequence(self, sizes: list[int]) -> None:
        if self.open() and not self.transport._writeDisconnected:  # type: ignore[union-attr]
            self.transport.writeSequence([self.more(size) for size in sizes])  # type: ignore[union-attr]

    def lose(self, _: object) -> None:
        self._promise()
        self.transport.loseConnection()  # type: ignore[union-attr]

    def loseWrite(self, _: object) -> None:
        if self.open():  # Twisted's own asks the reactor for a dead transport's turn
            self._promise()
            self.transport.loseWriteConnection()  # type: ignore[union-attr]

    def _promise(self) -> None:
        if self.promised is None and self.open():
            self.promised = self.written

    def abort(self, _: object) -> None:
        self.broken = True
        self.transport.abortConnection()  # type: ignore[union-attr]

    def breakOff(self, _: object) -> None:
        self.broken = True
        self.transport.connectionLost(Failure(CONNECTION_DONE))  # type: ignore[union-attr]

    def push(self, chunks: int) -> None:
        self._register(chunks, True)

    def pull(self, chunks: int) -> None:
        self._register(chunks, False)

    def _register(self, chunks: int, streaming: bool) -> None:
        transport: Any = self.transport
        if self.open() and transport.producer is None:
            transport.registerProducer(Producer(self, chunks), streaming)

    def unregister(self, _: object) -> None:
        self.transport.unregisterProducer()  # type: ignore[union-attr]

    def read(self, steps: list[Step]) -> None:
        """Be read while being read, as by a protocol that turns the reactor itself."""
        self._turn(steps, lambda: self.transport.doRead())  # type: ignore[union-attr]

    def turn(self, steps: list[Step]) -> None:
        """Turn the reactor itself: what waits may be sent meanwhile too."""
        self._turn(steps, self.transport.reactor.turn)  # type: ignore[union-attr]

    def _turn(self, steps: list[Step], turn: Any) -> None:
        transport: Any = self.transport
        if self.open() and transport in transport.reactor.readers:
            self.scripts.append(steps)
            transport.socket.deliver(b"more")
            turn()
            if steps in self.scripts:
                self.scripts.remove(steps)


class Producer:
    """Write so many more pieces when resumed, and unregister."""

    def __init__(self, actor: Actor, chunks: int) -> None:
        self.actor = actor
        self.left = chunks
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        if self.left:
            self.left -= 1
            self.actor.write(3000)
        elif self.actor.transport.producer is self:  # type: ignore[union-attr]
            self.actor.transport.unregisterProducer()  # type: ignore[union-attr]

    def stopProducing(self) -> None:
        self.told.append("stop")


class StockTransport(tcp.Server):
    """Twisted's own transport, on a socket in memory."""

    listener: Any
    connection: Any
    peerName, local = "", False
    proxied = None

    def connectionOpened(self) -> None: ...

    _closeSocket: Any = MemoryTransport._closeSocket
    getHost: Any = MemoryTransport.getHost

    def connectionLost(self, reason: Any) -> None:
        if hasattr(self, "socket"):
            super().connectionLost(reason)
            self.listener.connectionClosed(self, Ending("server", "fin", None, None, 0, 0, 0.0))


class UnixTransport(UnixServer):
    """Our Unix transport, on a socket in memory that passes no descriptors."""

    def __init__(self, socket: Any, protocol: Any, address: Any, *args: Any, **peer: Any) -> None:
        super().__init__(socket, protocol, "", *args, **peer)

    _closeSocket: Any = MemoryTransport._closeSocket
    _peerHasEnded: Any = MemoryTransport._peerHasEnded
    _unreadBytes: Any = MemoryTransport._unreadBytes
    getHost: Any = MemoryTransport.getHost


class Messages:
    """What Twisted's Unix transports ask of the kernel, of a socket in memory."""

    SCM_RIGHTS = 1

    def recvmsg(self, socket: Any, size: int) -> tuple[bytes, list[Any], int]:
        return socket.recv(size), [], 0


def play(
    test: Any, kind: Any, turns: list[tuple[str, Any]], stubborn: bool = False
) -> tuple[Actor, Peer]:
    """Take steps over a transport of a kind, and let the peer read to the end."""
    test.patch(module, "MemoryTransport", kind)
    actor = Actor()
    actor.stubborn = stubborn
    peer = Peer(actor)
    for name, argument in turns:
        if name == "window":
            peer.window = argument
            peer.reading = False
        elif name == "peerReads":
            peer.read(argument)
        elif name == "heard":
            actor.scripts[:] = [argument]
            peer.write(b"x")
        else:
            actor.take(argument)
            peer.clock.advance(0)
    peer.window = 2**16
    peer.resume()
    while len(peer.value()) < actor.written and peer.clock.writers:
        peer.resume()  # one call reads no more than its readLimit
    return actor, peer


def check(test: TestCase, actor: Actor, peer: Peer) -> None:
    """Find every byte that was promised, once and in order, and nothing behind it but more."""
    value = peer.value()
    test.assertEqual(value, PATTERN[: len(value)])
    test.assertLessEqual(len(value), actor.written)
    promised = actor.written if actor.promised is None else actor.promised
    if not actor.broken:
        test.assertGreaterEqual(len(value), promised)
    test.assertEqual(peer.clock.writers, set())
    test.assertEqual(actor.lost, 0 if peer.connected else 1)


def fate(actor: Actor, peer: Peer) -> tuple[object, ...]:
    """Say what became of a connection."""
    return len(peer.value()), actor.written, peer.ended, peer.connected, peer.wasReset


_SIZES = strategies.sampled_from([1, 10, 3000, 20_000, 70_000])
_SIMPLE = strategies.one_of(
    strategies.tuples(strategies.just("write"), _SIZES),
    strategies.tuples(strategies.just("write"), _SIZES),
    strategies.tuples(strategies.just("sequence"), strategies.lists(_SIZES, max_size=3)),
    strategies.tuples(strategies.just("pull"), strategies.integers(0, 4)),
    strategies.tuples(strategies.just("unregister"), strategies.none()),
    strategies.tuples(
        strategies.sampled_from(["lose", "loseWrite", "abort", "breakOff"]), strategies.none()
    ),
)


_PUSH = strategies.tuples(strategies.just("push"), strategies.integers(0, 4))


def steps(nested: bool, push: bool) -> strategies.SearchStrategy[list[Step]]:
    """Make scripts; with ``nested`` ones, the reactor is turned while it is turning."""
    kinds = _SIMPLE | _PUSH if push else _SIMPLE
    if nested:
        inner = strategies.lists(kinds, max_size=3)
        kinds |= strategies.tuples(strategies.sampled_from(["read", "turn"]), inner)
    return strategies.lists(kinds, max_size=5)


def turns(nested: bool, push: bool = True) -> strategies.SearchStrategy[list[tuple[str, Any]]]:
    """
    Make lists of what happens to a connection: it hears, a timer runs, the peer reads or not.

    :param push: have push producers too; when those are paused is the transport's to choose.
    """
    return strategies.lists(
        strategies.one_of(
            strategies.tuples(strategies.just("heard"), steps(nested, push)),
            strategies.tuples(strategies.just("heard"), steps(nested, push)),
            strategies.tuples(strategies.just("timer"), steps(False, push)),
            strategies.tuples(strategies.just("window"), strategies.sampled_from([0, 7, 5000])),
            strategies.tuples(strategies.just("peerReads"), strategies.sampled_from([1, 5000])),
        ),
        max_size=6,
    )
