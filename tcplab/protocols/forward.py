"""Join each peer to a real server, and stand between the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.protocols.upstream import Downstream
from tcplab.reactor.clientendpoint import CONNECT_TIMEOUT
from tcplab.reactor.stack import setReason
from tcplab.wire.proxyheader import InetAddress, writeHeader
from tcplab.wire.reasons import Reason

log = Logger()

_VERSIONS = {"v1": 1, "v2": 2}


class Forward(Downstream):
    """
    Join each peer to a server.

    Bytes pass both ways as they come, none lost and none out of order; so does the end of each
    direction, and a reset becomes a reset. Who does not read stops who sends. A server that cannot
    be reached is no server for the peer either: its connection is reset before a byte.

    With a framing, whole messages pass, and `upstreamMessage` and `downstreamMessage` may rewrite
    or drop each::

        class Censor(Forward):
            framing = Lines

            def downstreamMessage(self, message):
                return message.replace(b"secret", b"******")

    :cvar to: the server, as the string of a client endpoint.
    :cvar proxyprotocol: tell the server first who the peer is: ``v1`` or ``v2`` of the PROXY
        protocol.
    :cvar connectTimeout: seconds until the server must have answered, TLS and all.
    """

    to: str = ""
    proxyprotocol: str = ""
    connectTimeout: float = CONNECT_TIMEOUT

    # The hooks

    def upstreamMessage(self, message: bytes) -> bytes | None:
        """Return what the server is told instead; ``None`` for nothing."""
        return message

    def downstreamMessage(self, message: bytes) -> bytes | None:
        """Return what the peer is told instead; ``None`` for nothing."""
        return message

    # What it does

    _target = "to"
    _stirred = False

    @classmethod
    def checkSettings(cls, settings: Mapping[str, Any]) -> None:
        """Refuse to join peers to nobody."""
        super().checkSettings(settings)
        if not settings["to"] and cls.endpoint is Downstream.endpoint:
            raise TypeError("to which server? add to=ENDPOINT, as in to=tcp:localhost:8080")
        if settings["proxyprotocol"] not in ("", *_VERSIONS):
            raise TypeError(f"proxyprotocol is {settings['proxyprotocol']!r}: give v1 or v2")
        if not settings["connectTimeout"] > 0:
            raise TypeError("connectTimeout: give a number of seconds above 0")

    def _begin(self) -> None:
        self.flow.block("calling")
        super()._begin()

    def _start(self) -> None:
        self._call(self.connectTimeout)

    def _header(self) -> bytes:
        if not self.proxyprotocol:
            return b""
        source, destination = _inet(self.peer), _inet(self.transport.getHost())
        if type(source) is not type(destination):
            source = destination = None
        return writeHeader(_VERSIONS[self.proxyprotocol], source, destination)

    def _upstreamMade(self) -> None:
        self.flow.unblock("calling")

    def messageReceived(self, message: bytes) -> None:
        """Pass it on."""
        passed = self.upstreamMessage(message)
        if passed is not None and self._other is not None:
            self._other.send(passed)

    def _upstreamSaid(self, message: bytes) -> None:
        passed = self.downstreamMessage(message)
        if passed is not None:
            self.send(passed)

    # The end

    def readConnectionLost(self) -> None:
        """Tell the server that the peer has finished."""
        if self._other is not None:
            self._other._finish()
        if self._other is None or self._finished:
            self.hangUp()

    def _upstreamFinished(self) -> None:
        self._finish()
        if self._other is not None and self._other._finished:
            self._other.hangUp()

    def _unreached(self, why: str) -> None:
        log.warn("{to} {why}", to=self.to or "the server", why=why, log_system=self._logPrefix())
        self.abort(Reason.UPSTREAM)

    def _goesRound(self) -> None:
        log.warn("{to} leads back to here", to=self.to, log_system=self._logPrefix())
        self.abort(Reason.LOOP)

    def _widowed(self, reason: Failure, why: Reason | None) -> None:
        if not reason.check(ConnectionDone):
            setReason(self.transport, why or Reason.UPSTREAM)
        super()._widowed(reason, why)

    # The drain

    def connectionDraining(self) -> None:
        """End both sides, once neither has said anything for ``lingerTimeout`` seconds."""
        self._stirred = False
        for side in (self, self._other):
            if side is not None and side.attention is None:
                side.heed(self._stir)
        self._later("silence", self.lingerTimeout, self._silence)

    def _stir(self) -> bool:
        self._stirred = True
        return True

    def _silence(self) -> None:
        other = self._other
        waiting = self.flow.congested or (other is not None and other.flow.congested)
        if self._stirred or self._calling or waiting:
            self.connectionDraining()
            return
        self.hangUp()
        if other is not None:
            other.hangUp()


def _inet(address: Any) -> InetAddress | bytes | None:
    """Return an address as the PROXY protocol says it; ``None`` where it cannot."""
    if isinstance(address, UNIXAddress):
        return address.name or b""
    try:
        return InetAddress.of(address.host, address.port)
    except (AttributeError, ValueError):
        return None
