"""A conversation that connects to a server for its peer, and the conversation with that server."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.tcp import Client
from twisted.python.failure import Failure

from tcplab.protocols.conversation import SettingValues
from tcplab.protocols.paired import PairedConversation
from tcplab.reactor.clientendpoint import clientEndpoint, halfCloseClient, pointsTo
from tcplab.reactor.connecterrors import connectFailure, lacksDescriptors
from tcplab.reactor.interfaces import StreamTransport
from tcplab.reactor.stack import bottomTransport, reactorOf, socketTransport, unacknowledgedBytes
from tcplab.wire.reasons import Reason

#: A connection as both its ends see it: the client's host and port, and the server's.
FourTuple = tuple[tuple[str, int], tuple[str, int]]


class Node(Protocol):
    """What `LoopDetector` uses of a conversation."""

    @property
    def factory(self) -> object: ...
    @property
    def raw(self) -> object: ...


_Node = TypeVar("_Node", bound=Node)


class LoopDetector(Generic[_Node]):
    """
    The connections of this process that were made for other connections of it.

    Both ends of a connection within this process are known by their 4-tuple. So each accepted
    connection can be followed back to the one for which it was made. There is a loop if that way
    passes the same factory twice. **Limit:** a loop through another process, a translated address
    or a Unix socket is not detected.
    """

    def __init__(self) -> None:
        self._accepted: dict[FourTuple, _Node] = {}
        self._connected: dict[FourTuple, _Node] = {}
        self._parents: dict[_Node, _Node] = {}
        self._recorded: dict[_Node, list[tuple[dict[FourTuple, _Node], FourTuple]]] = {}

    def accepted(self, child: _Node) -> _Node | None:
        """
        Record a conversation that was accepted.

        :return: the one that connected to it, if that closes a loop.
        """
        fourTuple = _fourTupleOf(child.raw, accepted=True)
        if fourTuple is None:
            return None
        self._record(self._accepted, fourTuple, child)
        return self._link(self._connected.get(fourTuple), child)

    def connected(self, parent: _Node, transport: object) -> _Node | None:
        """
        Record a transport that was connected for a conversation.

        :return: the conversation at its other end, if that closes a loop.
        """
        fourTuple = _fourTupleOf(transport, accepted=False)
        if fourTuple is None:
            return None
        self._record(self._connected, fourTuple, parent)
        child = self._accepted.get(fourTuple)
        return child if self._link(parent, child) is not None else None

    def forget(self, conversation: _Node) -> None:
        """Forget a conversation, and what was connected for it."""
        self._parents.pop(conversation, None)
        for table, fourTuple in self._recorded.pop(conversation, ()):
            if table.get(fourTuple) is conversation:
                del table[fourTuple]

    def _record(
        self, table: dict[FourTuple, _Node], fourTuple: FourTuple, conversation: _Node
    ) -> None:
        table[fourTuple] = conversation
        self._recorded.setdefault(conversation, []).append((table, fourTuple))

    def _link(self, parent: _Node | None, child: _Node | None) -> _Node | None:
        if parent is None or child is None:
            return None
        self._parents[child] = parent
        return parent if self._closesLoop(child) else None

    def _closesLoop(self, child: _Node) -> bool:
        ancestor = self._parents.get(child)
        while ancestor is not None and ancestor.factory is not child.factory:
            ancestor = self._parents.get(ancestor)
        return ancestor is not None and child.factory is not None


def _fourTupleOf(transport: object, accepted: bool) -> FourTuple | None:
    bottom = socketTransport(transport)
    if bottom is None:
        return None
    try:
        socket = bottom.socket
        peer, host = _hostAndPort(socket.getpeername()), _hostAndPort(socket.getsockname())
    except (AttributeError, OSError, TypeError, ValueError):
        return None  # no TCP socket, or one that is closed already
    return (peer, host) if accepted else (host, peer)


def _hostAndPort(address: object) -> tuple[str, int]:
    if not isinstance(address, tuple):
        raise TypeError(f"{address!r} is the path of a Unix socket")
    host, port, *_ = address
    return str(host).removeprefix("::ffff:"), int(port)


# Seconds in which a server has to take some of the bytes that are left for it, after the client's
# connection is lost. A client of the lab has as long.
_STUCK = 30.0

# Seconds after which a connection that lacked a file descriptor is tried again. Connections to
# servers that end later than those of their clients have it.
_RETRY = 0.1

#: One for this process, since two listeners that connect to each other are a loop too.
LOOPS: LoopDetector[Downstream] = LoopDetector()


class Upstream(PairedConversation):
    """
    The conversation with the server.

    It passes each of its events to the `Downstream` conversation that connected it.
    """

    def __init__(self, downstream: Downstream) -> None:
        self._downstream: Downstream | None = downstream  # until the connection is lost
        self.framing = type(downstream.framing)
        self.lingerTimeout = downstream.lingerTimeout
        self.maxUnsent = downstream.maxUnsent
        self.clock = downstream.clock

    _other: Downstream | None

    def makeConnection(self, transport: Any) -> None:
        """Start on a transport of any kind, with the header that precedes TLS."""
        halfCloseClient(transport, self)
        header = self._downstream._proxyHeader() if self._downstream is not None else b""
        if header:
            bottomTransport(transport).write(header)
        super().makeConnection(transport)

    def _attach(self, transport: StreamTransport) -> None:
        super()._attach(transport)
        bottom = socketTransport(transport)
        if isinstance(bottom, Client):
            bottom.setTcpNoDelay(True)  # the sender has decided what leaves together
            bottom.setTcpKeepAlive(True)  # finds a server that ended without FIN
        if self._downstream is not None:
            self._downstream._attached(self)

    def _begin(self) -> None:
        super()._begin()
        if self._downstream is not None:
            self._downstream._handshakeDone(self)

    def logPrefix(self) -> str:
        """Log under the tag of the client's connection; Twisted appends ``,client``."""
        return "" if self._downstream is None else self._downstream._logPrefix()

    def messageReceived(self, message: bytes) -> None:
        """Pass the message on."""
        if self._other is not None:
            self._other._upstreamReceived(message)

    def readConnectionLost(self) -> None:
        """Pass the server's end on."""
        if self._other is not None:
            self._other._upstreamClosed()
        else:
            self.hangUp()

    def connectionDraining(self) -> None:
        """Do nothing: the other side decides."""

    def _otherSideLost(self, reason: Failure, why: Reason | None) -> None:
        super()._otherSideLost(reason, why)
        self._schedule("stuck", _STUCK, self._abortIfStuck, -1)

    def _abortIfStuck(self, before: int) -> None:
        # No listener has this connection among its own, so no deadline of a policy ends it.
        left = unacknowledgedBytes(self.raw)
        if left == before:
            self.abort()
        else:
            self._schedule("stuck", _STUCK, self._abortIfStuck, left)

    def _connectionLost(self, reason: Failure = connectionDone) -> None:
        super()._connectionLost(reason)
        downstream, self._downstream = self._downstream, None
        if downstream is not None:
            downstream._upstreamLost(self, reason)


class _UpstreamFactory(Factory):
    """Builds the conversation with the server, one for each address that is tried."""

    noisy = False

    def __init__(self, downstream: Downstream) -> None:
        self._downstream = downstream

    def buildProtocol(self, addr: IAddress | None) -> Upstream:
        """Build one."""
        return Upstream(self._downstream)


class Downstream(PairedConversation):
    """
    A conversation that connects to a server, and is paired with the conversation there.

    A subclass decides when (``_start``, ``_connect``) and what follows from each event:
    ``_upstreamConnected``, ``_upstreamReceived``, ``_upstreamClosed``, ``_connectFailed``,
    ``_loopDetected`` and ``_otherSideLost``.
    """

    _descriptors = 2
    _target = ""  # the name of the setting that holds the server's endpoint
    _connecting = False
    _attempt: Deferred[IProtocol] | None = None
    _handshaking: Upstream | None = None

    @classmethod
    def checkSettings(cls, settings: SettingValues) -> None:
        """
        Refuse an endpoint that cannot be read.

        :raises TypeError: it cannot; the text is one line.
        """
        target = settings[cls._target]
        if target:
            try:
                clientEndpoint(target)
            except ValueError as problem:
                raise TypeError(f"{cls._target}: {problem}") from None

    @classmethod
    def checkListening(cls, settings: SettingValues, host: IAddress) -> None:
        """
        Refuse to connect to the port that is served.

        :param host: the address of the port.
        :raises ValueError: the endpoint is this port; the text is one line.
        """
        target = settings[cls._target]
        if target and pointsTo(target, host):
            raise ValueError(
                f"{cls._target}={target} is where it listens itself: name another server"
            )

    def endpoint(self) -> IStreamClientEndpoint:
        """Return the endpoint to connect to for this peer; by default the setting's."""
        return clientEndpoint(getattr(self, self._target), reactorOf(self.raw))

    # Connecting

    def _connect(self, seconds: float) -> None:
        """Connect within a number of seconds, with the TLS handshake."""
        self._connecting = True
        self._schedule("connect", seconds, self._failConnect, "timed out")
        self._tryToConnect()

    def _tryToConnect(self) -> None:
        attempt = maybeDeferred(lambda: self.endpoint().connect(_UpstreamFactory(self)))
        if self._connecting:
            self._attempt = attempt
        attempt.addErrback(self._attemptFailed)

    def _attemptFailed(self, failure: Failure) -> None:
        if self._connecting and lacksDescriptors(failure.value):
            self._attempt = None
            self._schedule("retry", _RETRY, self._tryToConnect)
        else:
            self._failConnect(connectFailure(failure.value).phrase)

    def _attached(self, upstream: Upstream) -> None:
        # With TLS the handshake is still to be done.
        if self._connecting and self._handshaking is None:
            self._handshaking = upstream
            child = LOOPS.connected(self, upstream.raw)
            if child is not None:
                child.abort(Reason.LOOP)
                self._loopDetected()

    def _handshakeDone(self, upstream: Upstream) -> None:
        if upstream is not self._handshaking:
            upstream.abort()  # too late, or the second of two addresses
            return
        self._connecting, self._attempt, self._handshaking = False, None, None
        self._cancel("connect")
        self._pair(upstream)
        upstream._pair(self)
        self._upstreamConnected(upstream)

    def _upstreamLost(self, upstream: Upstream, reason: Failure) -> None:
        if upstream is self._handshaking:
            self._failConnect(connectFailure(reason.value).phrase)

    def _failConnect(self, why: str) -> None:
        if self._connecting:
            self._cancelConnect()
            self._connectFailed(why)

    def _cancelConnect(self) -> None:
        self._connecting = False
        self._cancel("connect")
        self._cancel("retry")
        attempt, self._attempt = self._attempt, None
        handshaking, self._handshaking = self._handshaking, None
        if handshaking is not None:
            handshaking.abort()
        elif attempt is not None:
            attempt.cancel()

    # What follows; for subclasses

    def _proxyHeader(self) -> bytes:
        """Return the bytes that the server receives first, even before TLS."""
        return b""

    def _start(self) -> None:
        raise NotImplementedError

    def _upstreamConnected(self, upstream: Upstream) -> None:
        raise NotImplementedError

    def _upstreamReceived(self, message: bytes) -> None:
        raise NotImplementedError

    def _upstreamClosed(self) -> None:
        raise NotImplementedError

    def _connectFailed(self, why: str) -> None:
        raise NotImplementedError

    def _loopDetected(self) -> None:
        """End: the server connected back to this listener, directly or through others."""
        raise NotImplementedError

    # How it works

    def _begin(self) -> None:
        parent = LOOPS.accepted(self)
        super()._begin()
        if parent is not None:
            self.abort(Reason.LOOP)
            parent._loopDetected()
        elif not self.ending:
            # In the next turn of the reactor. If this connection was made from here that is known
            # by then, and a loop does not begin.
            self._schedule("start", 0, self._start)

    def _connectionLost(self, reason: Failure = connectionDone) -> None:
        LOOPS.forget(self)
        self._cancelConnect()
        super()._connectionLost(reason)
