"""A conversation that calls a server for its peer, and the conversation that it holds there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from tcplab.protocols.loops import LoopDetector
from tcplab.protocols.paired import PairedConversation
from tcplab.reactor.clientendpoint import clientEndpoint, halfCloseClient, pointsTo
from tcplab.reactor.connecterrors import connectFailure
from tcplab.reactor.stack import bottomTransport, reactorOf, socketTransport, unacknowledgedBytes
from tcplab.wire.reasons import Reason

# Seconds in which a server takes nothing of what its peer has left for it: as long as a peer has.
_STUCK = 30.0

#: Of this process: two listeners that lead to each other are a circle too.
LOOPS = LoopDetector()


class Upstream(PairedConversation):
    """
    The conversation with a server that was called for somebody.

    What happens in it is told to the conversation for which it is held.
    """

    def __init__(self, caller: Downstream) -> None:
        self._caller: Any = caller  # until it is over
        self.framing = type(caller.framing)
        self.lingerTimeout = caller.lingerTimeout
        self.maxUnsent = caller.maxUnsent
        self.clock = caller.clock

    def makeConnection(self, transport: Any) -> None:
        """Begin on a transport of any kind, with whatever must be said before TLS."""
        halfCloseClient(transport, self)
        header = self._caller._header()
        if header:
            bottomTransport(transport).write(header)
        super().makeConnection(transport)

    def _speakThrough(self, transport: Any) -> None:
        super()._speakThrough(transport)
        socket = socketTransport(transport)
        if isinstance(socket, tcp.Client):
            socket.setTcpNoDelay(True)  # whoever spoke has decided what leaves together
            socket.setTcpKeepAlive(True)  # a server that is gone without a word
        self._caller._answered(self)

    def _begin(self) -> None:
        super()._begin()
        self._caller._connected(self)

    def messageReceived(self, message: bytes) -> None:
        """Hand it over."""
        if self._other is not None:
            self._other._upstreamSaid(message)

    def readConnectionLost(self) -> None:
        """Hand it over."""
        if self._other is not None:
            self._other._upstreamFinished()
        else:
            self.hangUp()

    def connectionDraining(self) -> None:
        """Wait for the other side to say so."""

    def _widowed(self, reason: Failure, why: Reason | None) -> None:
        super()._widowed(reason, why)
        self._later("stuck", _STUCK, self._abandon, -1)

    def _abandon(self, before: int) -> None:
        # It is nobody's who would end it.
        left = unacknowledgedBytes(self.transport)
        if left == before:
            self.abort()
        else:
            self._later("stuck", _STUCK, self._abandon, left)

    def _lost(self, reason: Failure = connectionDone) -> None:
        super()._lost(reason)
        caller, self._caller = self._caller, None
        caller._notConnected(self, reason)


class _UpstreamFactory(Factory):
    """Builds the upstream's side, once for each address that is tried."""

    noisy = False

    def __init__(self, caller: Downstream) -> None:
        self._caller = caller

    def buildProtocol(self, addr: Any) -> Upstream:
        """Build one."""
        return Upstream(self._caller)


class Downstream(PairedConversation):
    """
    A conversation that calls a server, and is joined to the conversation there.

    A subclass says whom and when, and what becomes of what happens: ``_start``, ``_upstreamMade``,
    ``_upstreamSaid``, ``_upstreamFinished``, ``_unreached`` and ``_widowed``.
    """

    _target = ""  # the name of the setting that says whom
    _calling = False
    _connecting: Deferred[Any] | None = None
    _arriving: Upstream | None = None

    @classmethod
    def checkSettings(cls, settings: Mapping[str, Any]) -> None:
        """Refuse an endpoint that cannot be read."""
        where = settings[cls._target]
        if where:
            try:
                clientEndpoint(where)
            except ValueError as problem:
                raise TypeError(f"{cls._target}: {problem}") from None

    @classmethod
    def checkListening(cls, settings: Mapping[str, Any], host: Any) -> None:
        """
        Refuse to call ourselves.

        :param host: where it listens.
        :raises ValueError: it would; the text is one line.
        """
        where = settings[cls._target]
        if where and pointsTo(where, host):
            raise ValueError(
                f"{cls._target}={where} is where it listens itself: name another server"
            )

    def endpoint(self) -> IStreamClientEndpoint:
        """Return whom to call for this peer; by default whom the setting names."""
        return clientEndpoint(getattr(self, self._target), reactorOf(self.transport))

    # Calling

    def _call(self, seconds: float) -> None:
        """Call; give up after so many seconds."""
        self._calling = True
        self._later("call", seconds, self._giveUp, "timed out")
        calling = maybeDeferred(lambda: self.endpoint().connect(_UpstreamFactory(self)))
        if self._calling:
            self._connecting = calling
        calling.addErrback(self._failedToConnect)

    def _answered(self, upstream: Upstream) -> None:
        # With TLS the handshake comes now.
        if self._calling and self._arriving is None:
            self._arriving = upstream
            child = LOOPS.made(self, upstream.transport)
            if child is not None:
                child.abort(Reason.LOOP)
                self._goesRound()

    def _connected(self, upstream: Upstream) -> None:
        if upstream is not self._arriving:
            upstream.abort()  # too late, or the second of two addresses
            return
        self._calling, self._connecting, self._arriving = False, None, None
        self._notLater("call")
        self._join(upstream)
        upstream._join(self)
        self._upstreamMade()

    def _failedToConnect(self, failure: Failure) -> None:
        self._giveUp(connectFailure(failure.value).phrase)

    def _notConnected(self, upstream: Upstream, reason: Failure) -> None:
        if upstream is self._arriving:  # in the handshake
            self._giveUp(connectFailure(reason.value).phrase)

    def _giveUp(self, why: str) -> None:
        if self._calling:
            self._hangUpCall()
            self._unreached(why)

    def _hangUpCall(self) -> None:
        self._calling = False
        self._notLater("call")
        connecting, self._connecting = self._connecting, None
        arriving, self._arriving = self._arriving, None
        if arriving is not None:
            arriving.abort()
        elif connecting is not None:
            connecting.cancel()

    # What becomes of it

    def _header(self) -> bytes:
        """Return what the server is to be told before all else, even before TLS."""
        return b""

    def _start(self) -> None:
        raise NotImplementedError

    def _upstreamMade(self) -> None:
        raise NotImplementedError

    def _upstreamSaid(self, message: bytes) -> None:
        raise NotImplementedError

    def _upstreamFinished(self) -> None:
        raise NotImplementedError

    def _unreached(self, why: str) -> None:
        raise NotImplementedError

    def _goesRound(self) -> None:
        """Whom we called has called, through others or at once, us."""
        raise NotImplementedError

    # What drives it

    def _begin(self) -> None:
        parent = LOOPS.accepted(self)
        super()._begin()
        if parent is not None:
            self.abort(Reason.LOOP)
            parent._goesRound()
        elif not self.ending:
            # In the next turn: if we have been called from here that is known by then, and a
            # circle has not begun to turn.
            self._later("start", 0, self._start)

    def _lost(self, reason: Failure = connectionDone) -> None:
        LOOPS.forget(self)
        self._hangUpCall()
        super()._lost(reason)
