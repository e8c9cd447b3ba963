"""
How clients connect: their sockets, and the look-ups of names.

Two answers of connect(2) are no connection, though Twisted takes them for one.

TCP may connect a socket to itself (RFC 9293, 3.5). The port is then one that the system chooses for
clients, and no server listens there. It is a refused connection here. A Unix socket whose listen
queue is full answers EAGAIN. Here the client tries again, until its timeout.

A name is looked up in a thread of its own, which nothing waits for. Twisted looks up in the
reactor's threads, ten at a time, and waits for these at the end. A name whose server does not
answer then holds up other names, and the end of the process.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import getConnectError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
    IReactorTime,
    IResolutionReceiver,
)
from zope.interface import implementer

#: With this SO_LINGER close() resets a connection: the port is free for a server at once.
_RESET = struct.pack("ii", 1, 0)

#: Seconds until a connect to a Unix socket is tried again: a server accepts in less.
_RETRY = 0.05


class TCPClient(tcp.Client):
    """A TCP connection to a server, which is not itself."""

    def _connectDone(self) -> None:
        if self._isItself():
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._shouldShutdown = False  # that would leave the port in TIME_WAIT
            number = errno.ECONNREFUSED
            self.failIfNotConnected(getConnectError((number, os.strerror(number))))
        else:
            super()._connectDone()

    def _isItself(self) -> bool:
        with suppress(OSError):  # the peer has reset it by now
            return bool(self.socket.getsockname() == self.socket.getpeername())
        return False


class UnixClient(unix.Client):
    """A connection to a Unix socket, which waits for room in the listen queue."""

    def doConnect(self) -> None:
        """Connect, or try again while the queue is full."""
        if "connector" not in vars(self):
            return  # its timeout has passed
        number = self.socket.connect_ex(self.realAddress)  # never in progress, unlike TCP's
        if number == errno.EAGAIN:
            IReactorTime(self.reactor).callLater(_RETRY, self.doConnect)
        elif number:
            self.failIfNotConnected(getConnectError((number, os.strerror(number))))
        else:
            self._connectDone()


class TCPConnector(tcp.Connector):
    """A connector of TCP connections."""

    def _makeTransport(self) -> TCPClient:
        return TCPClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UnixConnector(unix.Connector):
    """A connector of connections to Unix sockets."""

    def _makeTransport(self) -> Any:
        return UnixClient(self.address, self, self.reactor, self.checkPID)


# Names

#: Names that are looked up at the same time; further ones wait. Such a thread takes 100 KiB.
_MOST = 100

_FAMILIES = {IPv4Address: socket.AF_INET, IPv6Address: socket.AF_INET6}
_TYPES = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}

#: What is looked up: the arguments of getaddrinfo.
_Query = tuple[str, int, int, int]


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Do nothing, as Twisted's own: a look-up cannot be ended."""


@implementer(IHostnameResolver)
class NameResolver:
    """
    Look up names by the system, as Twisted does, but one name never waits for another.

    All that ask for a name while it is looked up share one thread. A numeric address needs none.
    The scope of a link-local address is part of its host: ``fe80::1%eth0``.

    :param reactor: the results arrive in its thread.
    :param getaddrinfo: looks up.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        getaddrinfo: Callable[..., Any] = socket.getaddrinfo,
    ) -> None:
        self._reactor = reactor
        self._getaddrinfo = getaddrinfo
        self._receivers: dict[_Query, list[IResolutionReceiver]] = {}
        self._running = 0
        self._waiting: list[_Query] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Begin a look-up."""
        families = {_FAMILIES[kind] for kind in addressTypes or _FAMILIES if kind in _FAMILIES}
        family = families.pop() if len(families) == 1 else socket.AF_UNSPEC
        query = hostName, portNumber, family, _TYPES[transportSemantics]
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        if isIPAddress(hostName) or isIPv6Address(hostName):
            _deliver(_numeric(query), [resolutionReceiver])
        else:
            self._lookUp(query, resolutionReceiver)
        return resolution

    def _lookUp(self, query: _Query, receiver: IResolutionReceiver) -> None:
        receivers = self._receivers.setdefault(query, [])
        receivers.append(receiver)
        if len(receivers) > 1:
            return
        if self._running < _MOST:
            self._start(query)
        else:
            self._waiting.append(query)

    def _start(self, query: _Query) -> None:
        self._running += 1
        # A daemon: the interpreter does not wait for it.
        threading.Thread(target=self._run, args=(query,), daemon=True, name="look-up").start()

    def _run(self, query: _Query) -> None:
        try:
            found = self._getaddrinfo(*query)
        except (OSError, UnicodeError):
            found = []
        self._reactor.callFromThread(self._ended, query, found)

    def _ended(self, query: _Query, found: list[Any]) -> None:
        self._running -= 1
        if self._waiting:
            self._start(self._waiting.pop(0))
        _deliver(found, self._receivers.pop(query))


def _numeric(query: _Query) -> list[Any]:
    try:
        return socket.getaddrinfo(*query, 0, socket.AI_NUMERICHOST)  # asks no server
    except OSError:  # an interface that is not there
        return []


def _deliver(found: list[Any], receivers: list[IResolutionReceiver]) -> None:
    addresses = [
        address for family, kind, *_, place in found if (address := _addressOf(family, kind, place))
    ]
    for receiver in receivers:
        for address in addresses:
            receiver.addressResolved(address)
        receiver.resolutionComplete()


def _addressOf(family: int, kind: int, place: tuple[Any, ...]) -> IAddress | None:
    transport: Any = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
    if family == socket.AF_INET:
        return IPv4Address(transport, *place)
    if family != socket.AF_INET6:
        return None
    host, port, flow, scope = place
    if scope and "%" not in host:
        host = f"{host}%{scope}"
    return IPv6Address(transport, host, port, flow, scope)


def useNameResolver(reactor: object) -> None:
    """Look up names so from now on; nothing happens on a reactor without threads."""
    threads: Any = reactor
    if IReactorPluggableNameResolver.providedBy(reactor) and IReactorFromThreads.providedBy(
        reactor
    ):
        threads.installNameResolver(NameResolver(threads))
