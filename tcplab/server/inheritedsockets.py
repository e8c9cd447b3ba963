"""Listening sockets from the parent process (LISTEN_FDS), and a reactor that adopts them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from tcplab.reactor.interfaces import IReactor

#: The first descriptor; the others follow it. See sd_listen_fds(3).
FIRST = 3

#: The environment with which this process was started.
ENVIRONMENT = "/proc/self/environ"


class InheritedSocketError(ValueError):
    """An inherited socket cannot be listened on; the text is one line with the reason."""


def listenFDs(environment: Mapping[str, str] | None = None, pid: int | None = None) -> list[int]:
    """
    Return the descriptors that were handed over to this process, in order.

    ``LISTEN_FDS`` is their number, ``LISTEN_PID`` the process they are for. ``LISTEN_FDNAMES`` is
    not needed.

    :param environment: ``None`` for the one with which this process was started. Twisted removes
        the variables from ``os.environ`` when its endpoints are imported, and requires all names.
    :param pid: ``None`` for this process.
    """
    found = _startEnvironment() if environment is None else environment
    if found.get("LISTEN_PID") != str(os.getpid() if pid is None else pid):
        return []
    count = found.get("LISTEN_FDS", "")
    return list(range(FIRST, FIRST + int(count))) if count.isdecimal() else []


def _startEnvironment() -> Mapping[str, str]:
    try:
        with open(ENVIRONMENT, "rb") as file:
            words = os.fsdecode(file.read()).split("\0")
    except OSError:  # a sandbox without it
        return os.environ
    return dict(word.split("=", 1) for word in words if "=" in word)


class InheritedSockets:
    """
    Inherited sockets, which are taken one after the other.

    :param descriptors: the sockets'; programs that this process starts do not inherit them.
    """

    def __init__(self, descriptors: Iterator[int] | list[int]) -> None:
        self._remaining = list(descriptors)
        for each in self._remaining:
            os.set_inheritable(each, False)

    def next(self, *families: int, port: int = 0) -> socket.socket:
        """
        Take the next socket, non-blocking.

        :param families: the families that fit.
        :param port: the TCP port that fits; 0 for any.
        :raises InheritedSocketError: no socket is left, or it does not fit.
        """
        if not self._remaining:
            raise InheritedSocketError("no socket that was handed over is left for it (LISTEN_FDS)")
        descriptor = self._remaining.pop(0)
        found = _listening(descriptor)
        problem = _mismatch(found, families, port)
        if problem:
            raise InheritedSocketError(
                f"the socket that was handed over for it, descriptor {descriptor}, {problem}:"
                " hand them over in the order of the listeners"
            )
        found.setblocking(False)
        return found


def _listening(descriptor: int) -> socket.socket:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError as e:
        raise InheritedSocketError(f"descriptor {descriptor} is no socket: {e.strerror}") from None
    if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise InheritedSocketError(f"descriptor {descriptor} is a socket that does not listen")
    return found


def _mismatch(found: socket.socket, families: tuple[int, ...], port: int) -> str:
    if found.family not in families:
        return f"is one of {found.family.name}"
    if port and found.getsockname()[1] != port:
        return f"listens on port {found.getsockname()[1]}"
    return ""


_INTERNET = (socket.AF_INET, socket.AF_INET6)


class AdoptingReactor:
    """
    A reactor whose ``listen...`` methods adopt the next inherited socket, at any address.

    So every endpoint string can listen; the sockets are taken in the order of those calls. All
    else is passed on to the reactor. Twisted's ``adoptStreamPort`` does not fit: it leaves the
    socket blocking, makes a Unix socket writable for all users, and removes its path in the end.

    :param reactor: runs the ports.
    :param inherited: the sockets.
    """

    def __init__(self, reactor: IReactor, inherited: InheritedSockets) -> None:
        self._reactor = reactor
        self._inherited = inherited

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Adopt a TCP socket; it keeps its address and its backlog."""
        return self._adopt(AdoptedPort, self._inherited.next(*_INTERNET, port=port), factory)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: IOpenSSLServerConnectionCreator,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """Adopt a TCP socket, for TLS."""
        tls = TLSMemoryBIOFactory(contextFactory, False, factory, self._reactor)
        return self.listenTCP(port, tls, backlog, interface)

    def listenUNIX(
        self,
        address: str | bytes,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: int = 0,
    ) -> IListeningPort:
        """Adopt a Unix socket; its path, mode and lock are left to the process that bound it."""
        return self._adopt(AdoptedUnixPort, self._inherited.next(socket.AF_UNIX), factory)

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> IListeningPort:
        """Adopt the next socket, not that descriptor: its number is the first process's."""
        kind = AdoptedUnixPort if addressFamily == socket.AF_UNIX else AdoptedPort
        return self._adopt(kind, self._inherited.next(addressFamily), factory)

    def _adopt(
        self, kind: type[AdoptedPort], found: socket.socket, factory: IProtocolFactory
    ) -> IListeningPort:
        port = kind(found, factory, self._reactor)
        port.startListening()
        return port


class AdoptedPort(tcp.Port):
    """A TCP port on an inherited socket. Closing it leaves the socket to the other processes."""

    def __init__(self, found: socket.socket, factory: IProtocolFactory, reactor: IReactor) -> None:
        # The address shows whether it is IPv6.
        tcp.Port.__init__(self, 0, factory, interface=found.getsockname()[0], reactor=reactor)
        self._preexistingSocket = found

    def startListening(self) -> None:
        """Accept from now on; as in Twisted's, but without its line in the log."""
        found, self._preexistingSocket = self._preexistingSocket, None
        assert found is not None
        assert self.factory is not None
        self.socket = found
        self._shouldShutdown = False
        self._realPortNumber = found.getsockname()[1]
        self.fileno = found.fileno  # type: ignore[method-assign]  # as in Twisted's
        self.connected = True
        self.numberAccepts = 100
        self.factory.doStart()
        self.startReading()

    def _logConnectionLostMsg(self) -> None:
        """Log nothing: other processes go on listening."""


class AdoptedUnixPort(AdoptedPort, unix.Port):
    """A port on an inherited Unix socket."""

    def __init__(self, found: socket.socket, factory: IProtocolFactory, reactor: IReactor) -> None:
        unix.Port.__init__(self, found.getsockname(), factory, reactor=reactor)
        self._preexistingSocket = found

    def connectionLost(self, reason: Failure) -> None:
        """Close, without removing the path."""
        tcp.Port.connectionLost(self, reason)
