"""Listening sockets from the parent process (LISTEN_FDS), and a reactor that adopts them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

#: The first of them; the others follow it. See sd_listen_fds(3).
FIRST = 3

#: The environment that this process was started with.
ENVIRONMENT = "/proc/self/environ"


class InheritedSocketError(ValueError):
    """What was handed over cannot be listened on; the text is one line that says why."""


def listenFDs(environment: Mapping[str, str] | None = None, pid: int | None = None) -> list[int]:
    """
    Return the descriptors that were handed over to this very process, in order.

    ``LISTEN_FDS`` is their number, ``LISTEN_PID`` the process that is meant; ``LISTEN_FDNAMES`` is
    not needed.

    :param environment: ``None`` for what this process was started with: Twisted takes the words
        out of ``os.environ`` when its endpoints are imported, and wants names for all of them.
    :param pid: ``None`` for our own.
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
    Sockets that are adopted one after the other.

    :param descriptors: they belong to us from now on, and not to the programs that we start.
    """

    def __init__(self, descriptors: Iterator[int] | list[int]) -> None:
        self._remaining = list(descriptors)
        for each in self._remaining:
            os.set_inheritable(each, False)

    def next(self, *families: int, port: int = 0) -> socket.socket:
        """
        Take the next.

        :param families: it must be of one of these.
        :param port: it must listen there, if that is not 0.
        :raises InheritedSocketError: there is none, or it is another than was expected.
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
    A reactor whose ``listen...`` methods adopt the next inherited socket, whatever is asked for.

    So any endpoint string can be listened on, in the order in which they listen. All else is the
    reactor's own. (Twisted's ``adoptStreamPort`` leaves the socket blocking, opens a Unix socket to
    everybody, and removes its path in the end.)

    :param reactor: runs the ports.
    :param inherited: the sockets.
    """

    def __init__(self, reactor: Any, inherited: InheritedSockets) -> None:
        self._reactor = reactor
        self._inherited = inherited

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Adopt a TCP socket: it has its own address and its own backlog."""
        return self._adopt(AdoptedPort, self._inherited.next(*_INTERNET, port=port), factory)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """Adopt a TCP socket, and speak TLS."""
        secured: Any = TLSMemoryBIOFactory(contextFactory, False, factory, self._reactor)
        return self.listenTCP(port, secured, backlog, interface)

    def listenUNIX(
        self,
        address: str | bytes,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: int = 0,
    ) -> IListeningPort:
        """Adopt a Unix socket: its path, its mode and its lock are the business of who bound it."""
        return self._adopt(AdoptedUnixPort, self._inherited.next(socket.AF_UNIX), factory)

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> IListeningPort:
        """Adopt the next one here too: our descriptors have other numbers than the first's."""
        kind = AdoptedUnixPort if addressFamily == socket.AF_UNIX else AdoptedPort
        return self._adopt(kind, self._inherited.next(addressFamily), factory)

    def _adopt(self, kind: Any, found: socket.socket, factory: IProtocolFactory) -> IListeningPort:
        port: IListeningPort = kind(found, factory, self._reactor)
        port.startListening()
        return port


class _Adopted:
    """
    What both kinds have in common.

    Others have the socket too: to stop listening is to close our descriptor, not to shut it down.
    """

    _preexistingSocket: Any
    _closeSocket: Any

    def startListening(self: Any) -> None:
        """Accept from now on."""
        self.socket = found = self._preexistingSocket
        self._preexistingSocket = None
        self._shouldShutdown = False
        self._realPortNumber = found.getsockname()[1]
        self.fileno = found.fileno
        self.connected = 1
        self.numberAccepts = 100  # as Twisted's begin
        self.factory.doStart()
        self.startReading()

    def _logConnectionLostMsg(self) -> None:
        """Say nothing: it goes on listening, elsewhere."""


class AdoptedPort(_Adopted, tcp.Port):
    """A TCP port on a socket of others."""

    def __init__(self, found: socket.socket, factory: Any, reactor: Any) -> None:
        tcp.Port.__init__(self, None, factory, 0, found.getsockname()[0], reactor)  # type: ignore[arg-type]
        self._preexistingSocket = found


class AdoptedUnixPort(_Adopted, unix.Port):
    """A Unix port on a socket of others."""

    def __init__(self, found: socket.socket, factory: Any, reactor: Any) -> None:
        unix.Port.__init__(self, found.getsockname(), factory, reactor=reactor)
        self._preexistingSocket = found

    def connectionLost(self, reason: Any) -> None:
        """Leave the path where it is."""
        tcp.Port.connectionLost(self, reason)
