"""One listener of a lab: a behaviour's factory on an endpoint, watched."""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from tcplab.config.errors import SettingsError
from tcplab.config.settings import ListenerSettings
from tcplab.listener.events import Observer
from tcplab.listener.listener import Listener
from tcplab.server.certificates import worldReadableKeys
from tcplab.server.endpoints import cannotListen, formatAddress, reachability
from tcplab.server.unixlock import removeStaleLock

log = Logger("tcplab.server.serving")

#: How often a port that ends accepts once more, 64 connections each time: so all of a full backlog
#: are served, and a flood of new ones cannot hold up the end.
_BATCHES = 128


class EndpointListener(Listener):
    """
    Serve one behaviour in one place.

    :ivar settings: what is served, and where.
    :ivar factory: builds the behaviour.
    :ivar endpoint: where to listen.
    :ivar port: what listens, while it does.
    :ivar quiet: it does not say so.
    """

    quiet = False

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
        self.endpoint = endpoint
        self.port: IListeningPort | None = None
        self._starting: Deferred[Any] | None = None
        self._closing: Deferred[Any] = succeed(None)

    @property
    def host(self) -> IAddress:
        """Where it listens."""
        assert self.port is not None
        return self.port.getHost()

    def listen(self) -> Deferred[None]:
        """
        Listen, and say so in the log.

        :return: fires when it listens; with a `SettingsError`, one line, if it cannot.
        """
        self._starting = maybeDeferred(self.endpoint.listen, self.factory)
        self._starting.addErrback(self._retryWithoutStaleLock)
        return self._starting.addCallbacks(self._listening, self._failed)

    def _retryWithoutStaleLock(self, failure: Failure) -> Any:
        return self.endpoint.listen(self.factory) if removeStaleLock(failure.value) else failure

    def _listening(self, port: Any) -> None:
        if not IListeningPort.providedBy(port):
            raise SettingsError(
                f"{self.settings.option}: {self.settings.endpoint} is no place to listen:"
                " use tcp, tcp6, unix, ssl, tls or systemd"
            )
        self.port = port
        self._checkListening(port.getHost())
        watched = self.addPort(port)
        if not self.quiet:
            self._announce(port)
        if not watched:
            log.warn(
                "connections of {name} are not told of, nor ended politely: {port} is not one of"
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

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            failure.raiseException()
        raise cannotListen(self.settings, failure.value)

    def _announce(self, port: IListeningPort) -> None:
        host = port.getHost()
        kind = "unix" if not hasattr(host, "port") else "tcp"
        if isinstance(getattr(port, "factory", None), TLSMemoryBIOFactory):
            kind = "tls"
        log.info(
            "serving {behaviour} on {kind} {place} ({reach})",
            log_system="tcplab",
            # What was typed; a terminal that cannot show it must not end the log.
            behaviour=str(self.settings.spec).encode("ascii", "backslashreplace").decode("ascii"),
            name=self.settings.name,
            kind=kind,
            place=formatAddress(host),
            reach=reachability(host),
        )
        for path in worldReadableKeys(self.settings.endpoint):
            log.warn(
                "everybody on this machine may read the private key in {path}: chmod 600 {path}",
                log_system="tcplab",
                path=path,
            )

    def rewriteLock(self) -> None:
        """
        Own the lock of a Unix socket that was bound before this process was forked.

        It has the number of a process that is gone; others would take the socket for left over.
        """
        lock = getattr(self.port, "lockFile", None)
        if lock is not None and os.readlink(lock.name) != os.fsencode(str(os.getpid())):
            mine = lock.name + b".mine"
            os.symlink(str(os.getpid()), mine)
            os.replace(mine, lock.name)

    # The end

    def stopListening(self) -> Deferred[None]:
        """
        Accept who has connected, and nobody any more; who is connected stays.

        New connections are refused at once. To ask again is the same as once.

        :return: fires when the port is closed, and may be cancelled: it closes all the same.
        """
        port: Any = self.port
        self.port = None
        if port is not None:
            if isinstance(port, tcp.Port) and port.connected:
                _acceptTheRest(port, self)
                _refuse(port)
            self._closing = maybeDeferred(port.stopListening).addErrback(_socketLeft)
        elif self._starting is not None:
            self._starting.cancel()
        asked: Deferred[None] = Deferred()
        self._closing.addBoth(_tell, asked)
        return asked


def _tell(result: object, asked: Deferred[None]) -> object:
    asked.callback(None)
    return result


def _socketLeft(failure: Failure) -> None:
    # A Unix socket, and we are not root any more. The next lab to be started there removes it.
    failure.trap(OSError)
    error: OSError = failure.value  # type: ignore[assignment]
    if error.filename and not isinstance(error, FileNotFoundError):
        path = os.fsdecode(error.filename)
        log.warn("{path} stays behind: {why}", log_system="tcplab", path=path, why=error.strerror)


def _acceptTheRest(port: tcp.Port, listener: Listener) -> None:
    # For the kernel they are connected, and may have spoken: to close the port would reset them.
    waiting = select.poll()
    waiting.register(port.fileno(), select.POLLIN)
    for _ in range(_BATCHES):
        if listener.suspended or not waiting.poll(0):
            return
        port.doRead()


def _refuse(port: tcp.Port) -> None:
    # Twisted closes it in the reactor's next turn, and with a thousand clients a turn is long.
    # A socket that others own too, systemd say, goes on taking connections for them.
    if getattr(port, "_shouldShutdown", False):
        with suppress(OSError):
            port.socket.shutdown(socket.SHUT_RDWR)
