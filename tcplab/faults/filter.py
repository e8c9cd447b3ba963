"""
The filter between a transport and its protocol while faults apply to a connection.

::

    transport --dataReceived--> Inbound:  Pipeline, queue while paused --dataReceived--> protocol
    transport <--write--------- Outbound: Pipeline, ProducerProxy      <--write--------- protocol

- Made: `Splice` has put the filter in its place. Until `FaultFilter.start` (the end of a
  handshake) no fault acts, and what the protocol writes waits.
- Started: each event enters a direction, passes through its pipeline, and leaves at the other
  end. `FaultFilter.updateFlow` follows: it reports hits, then pauses or resumes both sources.
- ``outbound.closing``: the protocol has called ``loseConnection``. Received bytes are dropped.
- ``close.begun``: a fault ends the connection (`FaultClose`). No byte passes any more.
- `FaultFilter.detached`: the connection is lost, or no fault is left and nothing waits. The
  splice is removed; transport and protocol call each other directly.

A protocol may write, pause, close or be replaced while it receives. So may an observer of a hit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.faults.closing import FaultClose
from tcplab.faults.inbound import Inbound
from tcplab.faults.outbound import Outbound, ProducerProxy
from tcplab.faults.pipeline import ActiveFault


class Splice:
    """
    Insert an object between a transport and its protocol, and remove it again.

    The object becomes the transport's protocol, and has the protocol as ``wrappedProtocol``. Its
    methods cover on the instance what the protocol calls on the transport. Its producer may take
    the place of the registered one. The splice itself has the covered methods as they were.

    :param transport: the transport, or TLS upon it: that has its protocol under another name.
    :param filter: the object.
    """

    write: Callable[[bytes], None]
    loseConnection: Callable[[], None]
    loseWriteConnection: Callable[[], None]
    abortConnection: Callable[[], None]
    pauseProducing: Callable[[], None]
    resumeProducing: Callable[[], None]
    registerProducer: Callable[[object, bool], None]
    unregisterProducer: Callable[[], None]
    getPeer: Callable[[], IAddress]
    getHost: Callable[[], IAddress]

    def __init__(self, transport: Any, filter: FaultFilter) -> None:
        self.transport = transport
        self._filter = filter
        # The layer that has the protocol, if it is not the transport itself.
        self._wrapper = transport if isinstance(transport, ProtocolWrapper) else None
        self._inserted = False
        self._covers: dict[str, Callable[..., object]] = {}
        self._earlier: dict[str, object] = {}

    def __getattr__(self, name: str) -> Any:
        # A wrapper may borrow a method from what it wraps: look it up while it is uncovered.
        own = vars(self.transport)
        cover = own.pop(name, None) if name in self._covers else None
        try:
            return getattr(self.transport, name)
        finally:
            if cover is not None:
                own[name] = cover

    def insert(self, covers: Mapping[str, Callable[..., object]]) -> None:
        """Take the place of the protocol, and cover these methods."""
        transport, own = self.transport, vars(self.transport)
        self.write = transport.write
        self.loseConnection = transport.loseConnection
        self.registerProducer = transport.registerProducer
        self.unregisterProducer = transport.unregisterProducer
        if not isinstance(transport, ProtocolWrapper):  # one borrows these once it is connected
            self.pauseProducing = transport.pauseProducing
            self.resumeProducing = transport.resumeProducing
        for name, cover in covers.items():
            if name in own:
                self._earlier[name] = own[name]
            self._covers[name] = own[name] = cover
        own["filter"] = self._filter
        self._filter.wrappedProtocol = self._above()
        self._setAbove(self._filter)
        self._inserted = True

    def _above(self) -> Any:
        if self._wrapper is not None:
            return self._wrapper.wrappedProtocol
        # Twisted deletes the attribute when the connection is lost.
        return None if self.transport.disconnected else self.transport.protocol

    def _setAbove(self, protocol: Any) -> None:
        if self._wrapper is not None:
            self._wrapper.wrappedProtocol = protocol
        else:
            self.transport.protocol = protocol

    def reassert(self) -> None:
        """Stay in place after ``transport.protocol = other``, which replaces the protocol only."""
        wrapper, transport = self._wrapper, self.transport
        # As `_above`, in line: this runs for every read and every write.
        there: Any
        if wrapper is not None:
            there = wrapper.wrappedProtocol
        else:
            there = None if transport.disconnected else transport.protocol
        if there is self._filter or there is None or not self._inserted:
            return
        above = there
        while isinstance(above, ProtocolWrapper):
            if above.wrappedProtocol is self._filter:
                # TLS, by Twisted's own startTLS(), is between the transport and the filter.
                self._wrapper = above
                return
            above = above.wrappedProtocol
        self._filter.wrappedProtocol = there
        self._setAbove(self._filter)

    def remove(self) -> None:
        """Give the protocol its place again, and the transport its methods, unless replaced."""
        self._inserted = False
        own = vars(self.transport)
        for name, cover in self._covers.items():
            if own.get(name) is cover:
                del own[name]
                if name in self._earlier:
                    own[name] = self._earlier[name]
        own.pop("filter", None)
        if self._above() is self._filter:
            self._setAbove(self._filter.wrappedProtocol)

    # The producer that is registered with the transport

    @property
    def producer(self) -> Any:
        """The producer; it can be replaced without the transport's knowledge."""
        if not isinstance(self.transport, TLSMemoryBIOProtocol):
            return self.transport.producer
        membrane = self.transport._producer
        return None if membrane is None else membrane._producer

    @producer.setter
    def producer(self, producer: object) -> None:
        if not isinstance(self.transport, TLSMemoryBIOProtocol):
            self.transport.producer = producer
        elif self.transport._producer is not None:
            self.transport._producer._producer = producer

    @property
    def producerStreams(self) -> bool:
        """Whether it is a push producer; TLS makes one of any."""
        isTLS = isinstance(self.transport, TLSMemoryBIOProtocol)
        return isTLS or bool(self.transport.streamingProducer)

    @property
    def producerPaused(self) -> bool:
        """Whether the transport has paused it."""
        if not isinstance(self.transport, TLSMemoryBIOProtocol):
            return bool(self.transport.producerPaused)
        membrane = self.transport._producer
        return membrane is not None and bool(membrane._producerPaused)


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class FaultFilter(Protocol):
    """
    Pass what is received and what is written through the faults of a connection.

    Neither transport nor protocol can see a difference. An abort overtakes everything, and so does
    the loss of the connection.

    :param transport: the protocol's transport; of TLS the layer above, so that faults act on what
        is sent and not on how it is encrypted.
    :param clock: keeps the time.
    :param reportHit: called for each hit, with the fault and the byte of its direction.
    :param reading: the transport reads now: the protocol has not paused it.
    :ivar wrappedProtocol: the protocol.
    :ivar inbound: the direction towards it.
    :ivar outbound: the direction away from it.
    :ivar close: the end that a fault makes.
    :ivar detached: the filter is out of the connection.
    """

    transport: Any
    wrappedProtocol: Any

    def __init__(
        self,
        transport: object,
        clock: IReactorTime,
        reportHit: Callable[[ActiveFault, int], object],
        reading: bool = True,
    ) -> None:
        self.transport = transport
        self.clock = clock
        self.detached = False
        self._started = False
        self._reportHit = reportHit
        self._hits: list[tuple[ActiveFault, int]] = []
        self._waiting: dict[tuple[str, object], Callable[[], object]] = {}
        splice = self._splice = Splice(transport, self)
        producers = ProducerProxy(splice, clock)
        self.close = FaultClose(splice, clock, producers.detach)
        outbound = self.outbound = Outbound(splice, self.close, producers, self)
        inbound = self.inbound = Inbound(splice, self.close, outbound, self, reading)
        producers.takeOver()
        splice.insert(
            {
                "write": outbound.write,
                "writeSequence": outbound.writeSequence,
                "loseConnection": outbound.loseConnection,
                "loseWriteConnection": outbound.loseWriteConnection,
                "registerProducer": outbound.registerProducer,
                "unregisterProducer": outbound.unregisterProducer,
                "pauseProducing": inbound.pauseProducing,
                "resumeProducing": inbound.resumeProducing,
            }
        )

    # Faults are added and removed

    def start(self) -> None:
        """Begin: the handshake is complete."""
        if not self._started:
            self._started = True
            self.inbound.pipeline.start()
            self.outbound.start()
            self.updateFlow()

    def add(self, fault: ActiveFault, isInbound: bool) -> None:
        """Add a fault to a direction."""
        (self.inbound if isInbound else self.outbound).pipeline.add(fault)
        if self._started:
            fault.start()
        self.updateFlow()

    def whenReceived(self, name: str, owner: object, call: Callable[[], object]) -> None:
        """Call this at the first byte that is received, unless the fault is removed before."""
        self._waiting[name, owner] = call

    def remove(self, name: str, owner: object = None) -> None:
        """Remove a fault from both directions; what it holds passes at once."""
        self._waiting.pop((name, owner), None)
        self.inbound.pipeline.remove(name, owner)
        self.outbound.pipeline.remove(name, owner)
        self.updateFlow()

    def onHit(self, fault: ActiveFault, at: int) -> None:
        """Report that a fault acts, as soon as the bytes that it acts on are in their place."""
        self._hits.append((fault, at))

    def _reportHits(self) -> None:
        while self._hits:
            self._reportHit(*self._hits.pop(0))

    @property
    def held(self) -> int:
        """The written bytes that are held here, without those that a fault has discarded."""
        return 0 if self.close.begun else self.outbound.pipeline.held

    def updateFlow(self, asked: bool = False) -> None:
        """
        Pause or resume both sources, according to how much is held.

        :param asked: the protocol wants more.
        """
        if self._hits:
            self._reportHits()
        if self.detached:
            return
        outbound = self.outbound
        full, discards = outbound.pipeline.pressure()
        # A producer that is never paused would never stop if all its bytes are discarded.
        outbound.producers.hold(full or discards or self.close.begun)
        self.inbound.updateReading(full and outbound.producers.producer is None, asked)
        if not (self.inbound.pipeline.faults or outbound.pipeline.faults):
            self._removeIfIdle()

    def _removeIfIdle(self) -> None:
        outbound = self.outbound
        busy = self.inbound.waiting or not self._started or self._waiting
        if busy or self.detached or self.close.begun or outbound.halfClosed:
            return
        self._splice.reassert()
        self._detach()
        outbound.producers.giveBack()
        if outbound.closing and not outbound.finished:
            self._splice.loseConnection()  # when the producer has finished

    def _detach(self) -> None:
        self.detached = True
        self._splice.remove()

    # From the transport

    def makeConnection(self, transport: ITransport) -> None:
        """Connect the wrapped protocol, when TLS connects this one."""
        self.connected = 1
        self.wrappedProtocol.makeConnection(transport)

    def handshakeCompleted(self) -> None:
        """Start, and pass it on: the TLS handshake is complete."""
        self.start()
        if IHandshakeListener.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.handshakeCompleted()

    def dataReceived(self, data: bytes) -> None:
        """Take received bytes."""
        if self._waiting:
            self._firstReceived()
        self.inbound.dataReceived(data)

    def _firstReceived(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for call in waiting.values():
            call()
        self.updateFlow()

    def readConnectionLost(self) -> None:
        """Take the peer's FIN."""
        self.inbound.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Report to the protocol that our FIN was sent."""
        halfCloseable = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if halfCloseable is not None and not self.close.begun:
            halfCloseable.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Drop what is held, as a reset drops what is on its way, and report the loss."""
        self._reportHits()
        self._splice.reassert()
        self._detach()
        self.inbound.discard()
        self.outbound.pipeline.discard()
        self.close.cancel()
        self.outbound.producers.stopProducing()
        self.wrappedProtocol.connectionLost(reason)

    def logPrefix(self) -> str:
        """Log under the protocol's name."""
        return str(self.wrappedProtocol.logPrefix())
