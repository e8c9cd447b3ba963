"""
The eager reactor: epoll with the shortest path from the kernel to a protocol and back.

``twistd --reactor eager``, ``trial --reactor eager``. It differs from Twisted's epoll reactor in
four things that no program can see. Its time is monotonic: no step of the wall clock delays a
timer. Transports send what was written when the protocol returns
(`tcplab.reactor.coalescing`). A read is dispatched by one call. A turn of the loop looks at timers,
threads and signals only if there are any.

Its TLS takes the time from it, also where it is not the global reactor.
"""

from __future__ import annotations

from select import EPOLLIN
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.base import _topHandler
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import (
    IConnector,
    IListeningPort,
    IProtocolFactory,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.internet.main import CONNECTION_DONE, installReactor
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.python import context, log

from tcplab.reactor.batchaccept import BatchAcceptor
from tcplab.reactor.clients import useNameResolver
from tcplab.reactor.clock import MonotonicTime, TLSMethods
from tcplab.reactor.coalescing import CoalescingTransport
from tcplab.reactor.sendbuffer import DONE
from tcplab.reactor.transports import (
    EagerTCPConnector,
    EagerTCPServer,
    EagerUnixConnector,
    EagerUnixServer,
)
from tcplab.reactor.twistedinternals import missing

_log = Logger()

# Events handled before timers and signals are looked at again: a few milliseconds.
_EVENTS = 256

_COALESCING = CoalescingTransport.subclasses
_NO_CONTEXT: dict[object, object] = {}


class EagerReactor(MonotonicTime, TLSMethods, EPollReactor):
    """
    An epoll reactor that writes at once.

    A new descriptor is registered, and an ended one removed, with as few system calls as possible:
    Twisted's own asks epoll several times over.
    """

    _hasPolled = False  # whether there was ever a descriptor that epoll cannot watch

    # The loop

    def mainLoop(self) -> None:
        """Run until stopped."""
        while self._started:
            with _topHandler:
                self._loop()
        _log.info("Main loop terminated.")

    def _loop(self) -> None:
        while self._started:
            if (
                self._pendingTimedCalls
                or self._newTimedCalls
                or self.threadCallQueue
                or self._justStopped
                or not self.running
            ):
                self.runUntilCurrent()
                timeout = self.timeout()
                self.doIteration(self.running and timeout)
            else:
                self.doIteration(None)

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, ``timeout`` seconds at most, and handle them."""
        selectables = self._selectables
        events = self._poller.poll(-1 if timeout is None else timeout, _EVENTS)
        contexts = context.theContextTracker.currentContext().contexts
        contexts.append(_NO_CONTEXT)
        try:
            for fd, event in events:
                selectable: Any = selectables.get(fd)
                if event == EPOLLIN and type(selectable) in _COALESCING:
                    contexts[-1] = selectable  # a transport is its own log context
                    try:
                        try:
                            why = selectable.doRead()
                        except BaseException as error:
                            log.err()
                            why = error
                        if why:
                            self._finished(selectable, why)
                    except BaseException:
                        log.err()
                elif selectable is not None:  # not removed by an earlier event
                    log.callWithLogger(selectable, self._doReadOrWrite, selectable, fd, event)
        finally:
            contexts.pop()

    doIteration = doPoll

    def _finished(self, selectable: Any, why: BaseException) -> None:
        if why is CONNECTION_DONE:
            self.removeReader(selectable)
            selectable.checkedAt = selectable.sent  # a reset would have been another event
            selectable.readConnectionLost(DONE)  # all coalescing transports have it
            selectable.checkedAt = None
        else:
            self._disconnectSelectable(selectable, why, True)

    def addReader(self, reader: IReadDescriptor) -> None:
        """Watch a descriptor for input."""
        fd = reader.fileno()
        if fd in self._selectables:
            super().addReader(reader)
            return
        try:
            self._poller.register(fd, EPOLLIN)
        except OSError:
            super().addReader(reader)  # polls a file, or fails
            self._hasPolled = True
        else:
            self._reads.add(fd)
            self._selectables[fd] = reader

    def removeReader(self, reader: IReadDescriptor) -> None:
        """Stop watching a descriptor for input."""
        fd = reader.fileno()
        if fd in self._reads:
            if fd in self._writes:
                super().removeReader(reader)
            else:
                self._reads.remove(fd)
                del self._selectables[fd]
                self._poller.unregister(fd)
        elif fd == -1 or self._hasPolled:
            super().removeReader(reader)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        """Watch a descriptor for room to write."""
        super().addWriter(writer)
        if writer.fileno() not in self._writes:
            self._hasPolled = True

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        """Stop watching a descriptor for room to write."""
        fd = writer.fileno()
        if fd in self._writes or fd == -1 or self._hasPolled:
            super().removeWriter(writer)

    # The transports

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Listen as Twisted does, with transports that write at once."""
        listening = EagerPort(port, factory, backlog, interface, self)
        BatchAcceptor(listening)
        listening.startListening()
        return listening

    def listenUNIX(
        self,
        address: Any,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: int = 0,
    ) -> IListeningPort:
        """Listen as Twisted does, with transports that write at once."""
        listening = EagerUnixPort(address, factory, backlog, mode, self, wantPID)
        BatchAcceptor(listening)
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> IConnector:
        """Connect as Twisted does, with a transport that writes at once."""
        connector = EagerTCPConnector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def connectUNIX(
        self, address: Any, factory: ClientFactory, timeout: float = 30, checkPID: int = 0
    ) -> IConnector:
        """Connect as Twisted does, with a transport that writes at once."""
        connector = EagerUnixConnector(address, factory, timeout, self, checkPID)
        connector.connect()
        return connector


class EagerPort(tcp.Port):
    """A TCP port whose connections write at once."""

    transport: Any = EagerTCPServer


class EagerUnixPort(unix.Port):
    """A Unix port whose connections write at once."""

    transport: Any = EagerUnixServer


def install() -> None:
    """Install it as the global reactor; Twisted's own, if that lacks a part that it needs."""
    unknown = missing()
    if unknown:
        _log.warn("this Twisted has no {names}: using its epoll reactor", names=", ".join(unknown))
    reactor = EPollReactor() if unknown else EagerReactor()
    useNameResolver(reactor)
    installReactor(reactor)
