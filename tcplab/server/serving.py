"""One listener of a lab: a behaviour's factory on an endpoint, watched."""

from __future__ import annotations

import os
from typing import Any

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

from tcplab.protocols.conversation import Conversation
from tcplab.reactor.connection import Watcher
from tcplab.reactor.port import Listener
from tcplab.server.addresses import reachOf, shownAs
from tcplab.server.endpoints import cannotListen
from tcplab.server.settings import ListenerSettings, SettingsError

log = Logger()


class Serving:
    """
    Serve one behaviour in one place.

    :ivar settings: what is served, and where.
    :ivar factory: builds the behaviour.
    :ivar endpoint: where to listen.
    :ivar listener: knows the connections.
    :ivar port: what listens, once it does.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        factory: IProtocolFactory,
        endpoint: IStreamServerEndpoint,
        observers: Watcher,
    ) -> None:
        self.settings = settings
        self.factory = factory
        self.endpoint = endpoint
        self.listener = Listener(settings.name, observers)
        self.port: IListeningPort | None = None
        self._starting: Deferred[Any] | None = None

    @property
    def lingerTimeout(self) -> float:
        """Seconds that its conversations may linger."""
        kind = getattr(self.factory, "protocol", None)
        usual = getattr(kind, "lingerTimeout", Conversation.lingerTimeout)
        return float(getattr(self.factory, "settings", {}).get("lingerTimeout", usual))

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
        return self._starting.addCallbacks(self._listening, self._failed)

    def _listening(self, port: Any) -> None:
        if not IListeningPort.providedBy(port):
            raise SettingsError(
                f"{self.settings.option}: {self.settings.endpoint} is no place to listen:"
                " use tcp, tcp6, unix, ssl, tls or systemd"
            )
        self.port = port
        watched = self.listener.watch(port)
        self._announce(port)
        if not watched:
            log.warn(
                "connections of {name} are not told of, nor ended politely: {port} is not one of"
                " Twisted's own ports",
                log_system="tcplab",
                name=self.settings.name,
                port=port,
            )

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
            place=shownAs(host),
            reach=reachOf(host),
        )

    def takeOver(self) -> None:
        """
        Own the lock of a Unix socket that was bound before this process was forked.

        It has the number of a process that is gone; others would take the socket for left over.
        """
        lock = getattr(self.port, "lockFile", None)
        if lock is not None and os.readlink(lock.name) != os.fsencode(str(os.getpid())):
            mine = lock.name + b".mine"
            os.symlink(str(os.getpid()), mine)
            os.replace(mine, lock.name)

    def stopListening(self) -> Deferred[None]:
        """Accept nobody any more; who is connected stays."""
        if self.port is None:
            if self._starting is not None:
                self._starting.cancel()
            return succeed(None)
        stopping: Deferred[None] = maybeDeferred(self.port.stopListening)  # type: ignore[call-overload]
        return stopping
