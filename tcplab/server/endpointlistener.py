"""A listener of a lab: a behaviour on an endpoint."""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, NoReturn

from twisted.internet import tcp, unix
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.python.log import callWithContext

from tcplab.config.errors import SettingsError
from tcplab.config.listenersettings import ListenerSettings
from tcplab.faults.listenerfaults import FAULT
from tcplab.listener.acceptor import OWN_PORT, acceptorOf
from tcplab.listener.events import Observer
from tcplab.listener.listener import Listener
from tcplab.listener.oneshot import OneShot
from tcplab.protocols.factory import descriptorsOf
from tcplab.reactor.batchaccept import BATCH
from tcplab.server.certificates import worldReadableKeys
from tcplab.server.endpoints import cannotListen, formatAddress, reachability, unixPath
from tcplab.server.unixpath import BoundPath, isServed, removeStaleLock

log = Logger("tcplab.server.serving")

#: How often a port that closes accepts once more, up to 64 connections each time. That suffices for
#: a full listen queue, and a flood of new connections cannot delay the end.
_BATCHES = 128

#: Seconds for the handshakes that are under way when a port closes: on this machine they take none,
#: round the world a third of one.
_LOCAL_HANDSHAKE, _HANDSHAKE = 0.01, 0.3

#: SO_LINGER: on, for no time.
_RESET = struct.pack("ii", 1, 0)


class EndpointListener(Listener):
    """
    Serve a behaviour on an endpoint.

    :ivar settings: what is served, and where.
    :ivar factory: makes the behaviour's protocols.
    :ivar endpoint: where to listen.
    :ivar port: the port, while it listens.
    :ivar quiet: do not log that it listens.
    :ivar unserved: clients in the listen queue that were reset when the port closed.
    :ivar adopts: the port may be bound already, by another process.
    """

    quiet = False
    unserved = 0
    adopts = False
    _path: BoundPath | None = None

    def __init__(
        self,
        settings: ListenerSettings,
        factory: IProtocolFactory,
        endpoint: IStreamServerEndpoint,
        observers: Observer,
    ) -> None:
        super().__init__(settings.name, observers)
        self.settings = settings
        self.factory = factory
        self.descriptors = descriptorsOf(factory)
        self.endpoint = endpoint
        self.port: IListeningPort | None = None
        self._starting: Deferred[IListeningPort] | None = None
        self._closed: OneShot[None] | None = None

    @property
    def host(self) -> IAddress:
        """The address of the port."""
        assert self.port is not None
        return self.port.getHost()

    def listen(self) -> Deferred[None]:
        """
        Listen, and log that.

        :return: fires when the port listens; fails with a `SettingsError`, one line.
        """
        path = None if self.adopts else unixPath(self.settings.endpoint)
        if path and isServed(path):
            error = CannotListenError(None, os.fsencode(path), "Cannot acquire lock")
            refused: Deferred[None] = fail(cannotListen(self.settings, error))
            return refused
        self._starting = maybeDeferred(self._listenOnce)
        self._starting.addErrback(self._retryWithoutStaleLock)
        return self._starting.addCallbacks(self._portBound, self._listenFailed)

    def _retryWithoutStaleLock(self, failure: Failure) -> Failure | Deferred[IListeningPort]:
        return self._listenOnce() if removeStaleLock(failure.value) else failure

    def _listenOnce(self) -> Deferred[IListeningPort]:
        # Twisted logs each port that it opens; the line about the listener has more.
        listening: Deferred[IListeningPort] = callWithContext(
            OWN_PORT, self.endpoint.listen, self.factory
        )
        return listening

    def _portBound(self, port: IListeningPort) -> None:
        if not IListeningPort.providedBy(port):
            raise SettingsError(
                f"{self.settings.option}: {self.settings.endpoint} is no place to listen:"
                " use tcp, tcp6, unix, ssl, tls or systemd"
            )
        self.port = port
        self._path = BoundPath(port) if isinstance(port, unix.Port) else None
        self._checkListening(port.getHost())
        watched = self.addPort(port)
        if not self.quiet:
            self._logListening(port)
        if not watched:
            log.warn(
                "connections of {name} are not logged, and not drained: {port} is not one of"
                " Twisted's own ports",
                log_system="tcplab",
                name=self.settings.name,
                port=port,
            )

    def _checkListening(self, host: IAddress) -> None:
        check = getattr(self.factory, "checkListening", None)
        if check is not None:
            try:
                check(host)
            except ValueError as problem:
                prefix = f"{self.settings.option}: " if self.settings.option else ""
                raise SettingsError(f"{prefix}{self.settings.spec.name}: {problem}") from None

    def _listenFailed(self, failure: Failure) -> NoReturn:
        if failure.check(CancelledError):
            failure.raiseException()
        raise cannotListen(self.settings, failure.value)

    def _logListening(self, port: IListeningPort) -> None:
        host = port.getHost()
        kind = "unix" if isinstance(host, UNIXAddress) else "tcp"
        if isinstance(port, tcp.Port) and isinstance(port.factory, TLSMemoryBIOFactory):
            kind = "tls"
        log.info(
            "serving {behaviour} on {kind} {place} ({reach})",
            log_system="tcplab",
            # As it was typed, in characters that every terminal can show.
            behaviour=str(self.settings.spec).encode("ascii", "backslashreplace").decode("ascii"),
            name=self.settings.name,
            kind=kind,
            place=formatAddress(host),
            reach=reachability(host),
        )
        for path in worldReadableKeys(self.settings.endpoint):
            log.warn(
                "every user of this machine may read the private key in {path}: chmod 600 {path}",
                log_system="tcplab",
                path=path,
            )

    def rewriteLock(self) -> None:
        """Write the number of this process into the lock of a Unix socket, after a fork."""
        if self._path is not None:
            self._path.rewriteLock()

    def stopListening(self) -> Deferred[None]:
        """
        Accept the clients in the listen queue, then close the port; connections stay open.

        A client whose handshake has begun is accepted too: the SYNs of others are dropped for a
        moment before the port closes, and they are refused a second later. Clients that may not be
        accepted, since a limit is reached, are reset and counted. Further calls change nothing.

        **Limit:** a client that sends with a TTL of 255, and one whose handshake takes longer.

        :return: fires when the port is closed. It may be cancelled: the port closes all the same.
        """
        port: Any = self.port
        self.port = None
        if port is not None:
            self._closed = OneShot[None]()
            if isinstance(port, tcp.Port) and port.connected:
                _acceptBacklog(port, self)
            moment = self._lastMoment(port)
            if moment:
                port.reactor.callLater(moment, self._close, port, self._closed)
            else:
                self._close(port, self._closed)
        elif self._starting is not None:
            self._starting.cancel()
        return succeed(None) if self._closed is None else self._closed.wait()

    def _lastMoment(self, port: Any) -> float:
        # Seconds until the port closes; 0: it has no handshakes, or another process owns it.
        acceptor = acceptorOf(port) if isinstance(port, tcp.Port) and port.connected else None
        if acceptor is None or not port._shouldShutdown or self.suspended:
            return 0.0
        if not acceptor.closeSoon():
            return 0.0
        host = port.getHost().host
        return _LOCAL_HANDSHAKE if ip_address(host).is_loopback else _HANDSHAKE

    def _close(self, port: Any, closed: OneShot[None]) -> None:
        if isinstance(port, tcp.Port) and port.connected:
            _acceptBacklog(port, self)
            self._closeQueue(port)
        if self._path is not None:
            self._path.keepOthers()
        closing: Deferred[object] = maybeDeferred(port.stopListening)
        closing.addErrback(_closeFailed).addCallback(lambda _: closed.fire(None))

    def _closeQueue(self, port: tcp.Port) -> None:
        # Twisted closes it in the reactor's next turn, which is long with a thousand clients. A
        # socket that another process owns, systemd say, goes on accepting for it.
        if not port._shouldShutdown:
            return
        if FAULT not in self._reasons:  # then none of them is a client's
            self.unserved = _resetBacklog(port)
        if self.unserved:
            log.warn(
                "{name}: {unserved} clients in the listen queue were reset",
                log_system="tcplab",
                name=self.name,
                unserved=self.unserved,
            )
        with suppress(OSError):
            port.socket.shutdown(socket.SHUT_RDWR)


def _closeFailed(failure: Failure) -> None:
    error = failure.value
    if not isinstance(error, OSError):
        log.failure("a port could not be closed", failure)
    # A Unix socket, and this process is no longer root. The next lab removes it.
    elif error.filename and not isinstance(error, FileNotFoundError):
        path = os.fsdecode(error.filename)
        log.warn(
            "{path} cannot be removed: {why}", log_system="tcplab", path=path, why=error.strerror
        )


def _acceptBacklog(port: tcp.Port, listener: Listener) -> None:
    # The kernel has connected them, and they may have sent data. Closing the port resets them.
    waiting = select.poll()
    waiting.register(port.fileno(), select.POLLIN)
    for _ in range(_BATCHES):
        if listener.suspended or not waiting.poll(0):
            return
        port.doRead()


def _resetBacklog(port: tcp.Port) -> int:
    # As the kernel does with those that wait when the port closes, but counted.
    for count in range(_BATCHES * BATCH):
        try:
            client, _ = port.socket.accept()
        except OSError:
            return count
        with client:
            if client.family != socket.AF_UNIX:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    return _BATCHES * BATCH
