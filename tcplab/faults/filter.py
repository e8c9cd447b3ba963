"""The filter that stands between a transport and its protocol while faults apply to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tcplab.faults.closing import FaultClose
from tcplab.faults.inbound import ToProtocol
from tcplab.faults.outbound import AsTransport, ProducerProxy, ToTransport
from tcplab.faults.pipeline import ActiveFault, Pipeline
from tcplab.faults.stage import End


class Splice:
    """
    Stand where a transport looks for its protocol.

    :param transport: the transport; a wrapper, as TLS is one, has its protocol under another name.
    :param occupant: who stands there; it has the protocol as ``wrappedProtocol``.
    """

    def __init__(self, transport: Any, occupant: Any) -> None:
        self._occupant = occupant
        self._owner = transport
        self._name = "wrappedProtocol" if hasattr(transport, "wrappedProtocol") else "protocol"
        occupant.wrappedProtocol = self._there
        self._put(occupant)

    @property
    def _there(self) -> Any:
        return getattr(self._owner, self._name, None)

    def _put(self, protocol: Any) -> None:
        setattr(self._owner, self._name, protocol)

    def keep(self) -> None:
        """Stay: who has set ``transport.protocol`` meanwhile means the protocol."""
        there = above = self._there
        if there is None or there is self._occupant:
            return
        while above is not None:
            wrapped = getattr(above, "wrappedProtocol", None)
            if wrapped is self._occupant:
                # TLS, of Twisted's own startTLS(), has put itself between the transport and us.
                self._owner, self._name = above, "wrappedProtocol"
                return
            above = wrapped
        self._occupant.wrappedProtocol = there
        self._put(self._occupant)

    def leave(self) -> None:
        """Let the protocol have its place again, unless that is gone."""
        if self._there is self._occupant:
            self._put(self._occupant.wrappedProtocol)


_ALWAYS = ("write", "writeSequence", "pauseProducing", "resumeProducing")
_ASKED = ("loseConnection", "loseWriteConnection", "registerProducer", "unregisterProducer")


class Beneath:
    """
    A transport's own methods, as they are beneath a filter.

    :ivar write: and the others of `_ALWAYS`: as they were before they were covered.
    """

    write: Any
    pauseProducing: Any
    resumeProducing: Any

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._uncovered = Uncovered(transport)
        self._earlier: dict[str, Any] = {}
        self._covers: dict[str, Any] = {}
        for name in _ALWAYS:
            if hasattr(transport, name):
                setattr(self, name, getattr(transport, name))

    def __getattr__(self, name: str) -> Any:
        # A wrapper that is not connected yet has some of them only later.
        return getattr(self._uncovered, name)

    def cover(self, filter: Any) -> None:
        """Have the filter's methods called instead."""
        own = vars(self._transport)
        names = [name for name in _ASKED if hasattr(self._transport, name)]
        for name in (*_ALWAYS, *names):
            if name in own:
                self._earlier[name] = own[name]
            self._covers[name] = own[name] = getattr(filter, name)
        self._transport.filter = filter

    def uncover(self) -> None:
        """Have the transport's own methods called again, unless somebody has covered ours."""
        own = vars(self._transport)
        for name, cover in self._covers.items():
            if own.get(name) is cover:
                del own[name]
                if name in self._earlier:
                    own[name] = self._earlier[name]
        own.pop("filter", None)


class Uncovered:
    """A transport's methods without those that cover them."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        # A wrapper may have it of what it wraps only: look while it is uncovered.
        own = vars(self._transport)
        cover = own.pop(name, None)
        try:
            return getattr(self._transport, name)
        finally:
            if cover is not None:
                own[name] = cover


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class FaultFilter(AsTransport, Protocol):
    """
    Pass what comes and what goes through two chains of faults.

    It takes the place of ``transport.protocol``, and covers on the instance what a protocol does to
    its transport, so that neither knows. When no fault is left it takes itself out again. An abort
    overtakes everything, and so does the loss of the connection.

    :param transport: whom the protocol speaks through; with TLS that is TLS, and faults act above.
    :param clock: keeps the time.
    :param hear: is told of each hit: the link, and the byte of its direction.
    :param reading: the transport reads now; the protocol has not paused it.
    :ivar wrappedProtocol: the protocol.
    :ivar incoming: what the peer says.
    :ivar outgoing: what our side says.
    :ivar source: the producer of that.
    :ivar cut: the end that a fault makes.
    :ivar paused: the protocol wants nothing now.
    :ivar closing: it has asked for the end.
    :ivar peerFinished: the peer has finished; the protocol may not have been told yet.
    :ivar over: the connection is lost, or we are not in it any more.
    """

    transport: Any
    wrappedProtocol: Any

    def __init__(
        self,
        transport: Any,
        clock: Any,
        hear: Callable[[ActiveFault, int], object],
        reading: bool = True,
    ) -> None:
        self.transport = transport
        self.clock = clock
        self.beneath: Any = Beneath(transport)
        self.source = ProducerProxy(transport, self.beneath, clock)
        self.cut = FaultClose(transport, self.beneath, clock, self.source.detach)
        self.toProtocol = ToProtocol(self)
        self.toTransport = ToTransport(self)
        self.incoming = Pipeline(self.toProtocol)
        self.outgoing = Pipeline(self.toTransport)
        self.closing = self.peerFinished = self.over = False
        self.paused = not reading
        self._hear = hear
        self._hits: list[tuple[ActiveFault, int]] = []
        self._reading = reading
        self._started = False
        self._early: list[bytes | End] = []
        self.source.takeOver()
        self._place = Splice(transport, self)
        self.beneath.cover(self)

    # In and out

    def keepPlace(self) -> None:
        """Stay between the two."""
        if not self.over:
            self._place.keep()

    def _leaveIfDone(self) -> None:
        if self.incoming._links or self.outgoing._links:
            return
        busy = self.toProtocol.waiting or not self._started
        if busy or self.over or self.cut.begun or self.toTransport.cutOff:
            return
        self.keepPlace()
        self._take()
        self.source.giveBack()
        if self.closing and not self.toTransport.ended:
            self.beneath.loseConnection()  # when the producer has finished

    def _take(self) -> None:
        self.over = True
        self.beneath.uncover()
        self._place.leave()

    # Faults come and go

    def start(self) -> None:
        """Begin: the peer is here, its handshake is through."""
        if not self._started:
            self._started = True
            self.incoming.start()
            self.outgoing.start()
            early, self._early = self._early, []
            for what in early:
                self.out(what)
            self.changed()

    def add(self, link: ActiveFault, isIncoming: bool) -> None:
        """Add a link to what comes in, or to what goes out."""
        (self.incoming if isIncoming else self.outgoing).add(link, self._started)
        self.changed()

    def remove(self, name: str, owner: object = None) -> None:
        """Remove a fault's links; what they hold passes at once."""
        self.incoming.remove(name, owner)
        self.outgoing.remove(name, owner)
        self.changed()

    def hit(self, link: ActiveFault, at: int) -> None:
        """Tell that a fault acts: as soon as the bytes that it acts on are in their place."""
        self._hits.append((link, at))

    def _tellHits(self) -> None:
        while self._hits:
            self._hear(*self._hits.pop(0))

    @property
    def held(self) -> int:
        """Bytes of ours that wait here; none of those that a fault has taken."""
        return 0 if self.cut.begun else self.outgoing.held

    def changed(self, asked: bool = False) -> None:
        """
        Pause or resume both sources, as much or little waits.

        :param asked: the protocol wants more: reading may have been stopped beneath us, too.
        """
        self._tellHits()
        if self.over:
            return
        full, swallows = self.outgoing.pressure()
        # Who writes while he may would never stop if all of it went nowhere.
        self.source.hold(full or swallows or self.cut.begun)
        self._readOrNot(full and self.source.producer is None, asked)
        self._leaveIfDone()

    def _readOrNot(self, answers: bool, asked: bool) -> None:
        # What is said without flow control is an answer: to read less makes fewer of them.
        wanted = not (self.paused or answers or self.incoming.pressure()[0])
        if self.closing:
            wanted = not self.paused  # it is dropped; and TLS has to hear the peer's own end
        if self.cut.begun:
            wanted = True  # what comes is dropped: unread it would turn a FIN into a reset
        elif self.closing and self.toTransport.ended:
            return
        if (wanted != self._reading or (wanted and asked)) and not self.peerFinished:
            self._reading = wanted
            if wanted:
                self.beneath.resumeProducing()
            else:
                self.beneath.pauseProducing()

    def out(self, what: bytes | End) -> None:
        """Let bytes or an end of ours pass, once the handshake is through."""
        if not self._started:
            self._early.append(what)
        elif isinstance(what, bytes):
            self.outgoing.take(what)
        else:
            self.outgoing.end(what)

    # From the transport

    def makeConnection(self, transport: Any) -> None:
        """TLS connects its protocol."""
        self.connected = 1
        self.wrappedProtocol.makeConnection(transport)

    def handshakeCompleted(self) -> None:
        """TLS is through."""
        self.start()
        if IHandshakeListener.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.handshakeCompleted()

    def dataReceived(self, data: bytes) -> None:
        """Take what the peer says."""
        if not (self.cut.begun or self.closing):
            self.incoming.take(data)
            self.changed()

    def readConnectionLost(self) -> None:
        """Take the peer's end."""
        self.peerFinished = True
        if self.cut.begun:
            self.cut.peerFinished()
        else:
            self.incoming.end(End.FINISH)
            self.changed()

    def writeConnectionLost(self) -> None:
        """Our FIN has been sent."""
        halves = IHalfCloseableProtocol(self.wrappedProtocol, None)
        if halves is not None and not self.cut.begun:
            halves.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over: what waits is dropped, as a reset takes what is on its way."""
        self._tellHits()
        self.keepPlace()
        self._take()
        self.incoming.lose()
        self.outgoing.lose()
        self.cut.stop()
        self.source.stopProducing()
        self.wrappedProtocol.connectionLost(reason)

    def fromThere(self, how: End) -> None:
        """A fault on what comes ends both directions: behind the answers given so far."""
        if how is End.RESET:
            self.cut.reset()
        else:
            self.outgoing.end(how)

    def logPrefix(self) -> str:
        """Log under the protocol's name."""
        return str(self.wrappedProtocol.logPrefix())
