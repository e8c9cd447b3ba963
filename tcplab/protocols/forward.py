"""Forward: join each client to a real server, in the manner of a TCP proxy."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcplab.protocols.conversation import Conversation, SettingValues
from tcplab.protocols.upstream import Downstream, Upstream
from tcplab.reactor.clientendpoint import CONNECT_TIMEOUT
from tcplab.reactor.connecterrors import tlsReason
from tcplab.reactor.stack import proxied, setReason
from tcplab.wire.framing import Stream
from tcplab.wire.proxyheader import InetAddress, writeHeader
from tcplab.wire.reasons import Reason
from tcplab.wire.verbatim import Verbatim, verbatim

log = Logger()

_VERSIONS = {"v1": 1, "v2": 2}


class Forward(Downstream):
    """
    Join each client to a server.

    Bytes pass both ways, none lost and none out of order. So does the end of each direction, and a
    reset becomes a reset. An end that does not read stops the other from sending. If the server
    cannot be reached, the client's connection is reset before a byte.

    With a framing, whole messages pass, and `upstreamMessage` and `downstreamMessage` may rewrite
    or drop each. What they return unchanged passes as it was received, line end included::

        class Censor(Forward):
            framing = Lines

            def downstreamMessage(self, message):
                return message.replace(b"secret", b"******")

    :cvar to: the server, as the string of a client endpoint.
    :cvar proxyprotocol: ``v1`` or ``v2`` sends the server a PROXY header of that version first,
        with the client's address. The TLVs of a header that the client's proxy sent follow in
        version 2, and ``LOCAL`` stays ``LOCAL``.
    :cvar connectTimeout: seconds to connect to the server, with the TLS handshake.
    """

    to: str = ""
    proxyprotocol: str = ""
    connectTimeout: float = CONNECT_TIMEOUT

    # The hooks

    def upstreamMessage(self, message: bytes) -> bytes | None:
        """Return what the server gets in place of a client's message; ``None`` for nothing."""
        return message

    def downstreamMessage(self, message: bytes) -> bytes | None:
        """Return what the client gets in place of a server's message; ``None`` for nothing."""
        return message

    # How it works

    _target = "to"
    _active = False  # bytes were received since the last check, during a drain

    @classmethod
    def checkSettings(cls, settings: SettingValues) -> None:
        """
        Refuse settings without a server, and those that make no sense.

        :raises TypeError: they are refused; the text is one line.
        """
        super().checkSettings(settings)
        if not settings["to"] and cls.endpoint is Downstream.endpoint:
            raise TypeError("to which server? add to=ENDPOINT, as in to=tcp:localhost:8080")
        if settings["proxyprotocol"] not in ("", *_VERSIONS):
            raise TypeError(f"proxyprotocol is {settings['proxyprotocol']!r}: give v1 or v2")
        if not settings["connectTimeout"] > 0:
            raise TypeError("connectTimeout: give a number of seconds above 0")

    def _begin(self) -> None:
        self.flow.pause("connecting")
        super()._begin()

    def _start(self) -> None:
        self._connect(self.connectTimeout)

    def _proxyHeader(self) -> bytes:
        if not self.proxyprotocol:
            return b""
        version, said = _VERSIONS[self.proxyprotocol], proxied(self.raw)
        source, destination = _inet(self.peer), _inet(self.raw.getHost())
        if said.local or type(source) is not type(destination):
            source = destination = None
        whole = version == 2 and source is not None and said.header is not None
        tlvs = said.header.tlvs if whole and said.header is not None else ()
        return writeHeader(
            version, source, destination, local=said.local and version == 2, tlvs=tlvs
        )

    def makeConnection(self, transport: Any) -> None:
        """Use a transport of any kind, and a framing that keeps what it was fed with."""
        if self.framing is not Stream:
            self.framing = verbatim(self.framing)
        super().makeConnection(transport)

    def _upstreamConnected(self, upstream: Upstream) -> None:
        self.flow.resume("connecting")

    def messageReceived(self, message: bytes) -> None:
        """Pass the message on."""
        passed = self.upstreamMessage(message)
        if passed is not None and self._other is not None:
            _pass(self, self._other, message, passed)

    def _upstreamReceived(self, message: bytes) -> None:
        passed = self.downstreamMessage(message)
        if passed is not None and self._other is not None:
            _pass(self._other, self, message, passed)

    # The end

    def readConnectionLost(self) -> None:
        """Pass the client's end on."""
        if self._other is not None:
            self._other._forwardFin()
        if self._other is None or self._finForwarded:
            self.hangUp()

    def _upstreamClosed(self) -> None:
        self._forwardFin()
        if self._other is not None and self._other._finForwarded:
            self._other.hangUp()

    def _connectFailed(self, why: str) -> None:
        log.warn("{to} {why}", to=self.to or "the server", why=why, log_system=self._logPrefix())
        self.abort(Reason.UPSTREAM)

    def _loopDetected(self) -> None:
        log.warn("{to} leads back to here", to=self.to, log_system=self._logPrefix())
        self.abort(Reason.LOOP)

    def _otherSideLost(self, reason: Failure, why: Reason | None) -> None:
        if not reason.check(ConnectionDone):
            setReason(self.raw, why or Reason.UPSTREAM, tlsReason(reason.value))
        super()._otherSideLost(reason, why)

    # The drain

    def connectionDraining(self) -> None:
        """Close both sides, after ``lingerTimeout`` seconds in which neither received anything."""
        self._active = False
        for side in (self, self._other):
            if side is not None and side._dataHook is None:
                side.setDataHook(self._markActive)
        self._schedule("idle", self.lingerTimeout, self._checkIdle)

    def _markActive(self) -> bool:
        self._active = True
        return True

    def _checkIdle(self) -> None:
        other = self._other
        waiting = self.flow.congested or (other is not None and other.flow.congested)
        if self._active or self._connecting or waiting:
            self.connectionDraining()
            return
        self.hangUp()
        if other is not None:
            other.hangUp()


def _pass(source: Conversation, target: Conversation, message: bytes, passed: bytes) -> None:
    """Send a message to the other side, as it was received if no hook has changed it."""
    if isinstance(source.framing, Verbatim) and passed == message:
        target.write(source.framing.asReceived(message))
    else:
        target.send(passed)


def _inet(address: IAddress) -> InetAddress | bytes | None:
    """Return an address for a PROXY header; ``None`` where the header has no form for it."""
    if isinstance(address, UNIXAddress):
        return address.name or b""
    if isinstance(address, IPv4Address | IPv6Address):
        try:
            return InetAddress.of(address.host, address.port)
        except ValueError:
            return None
    return None
