"""
What the reactor relies on in Twisted's private parts, in one place.

A Twisted that changed one of these is told by its name, and served by its own reactor.
"""

from __future__ import annotations

import socket

from twisted.internet import abstract, base, epollreactor, tcp, unix

REQUIRED: tuple[tuple[object, str], ...] = (
    (abstract.FileDescriptor, "_getLogPrefix"),
    (abstract.FileDescriptor, "_maybePauseProducer"),
    (abstract.FileDescriptor, "_writeDisconnected"),
    (abstract.FileDescriptor, "_writeDisconnecting"),
    (base, "_topHandler"),
    (base.ReactorBase, "runUntilCurrent"),
    (base.ReactorBase, "timeout"),
    (epollreactor.EPollReactor, "_disconnectSelectable"),
    (epollreactor.EPollReactor, "_doReadOrWrite"),
    (tcp.Connection, "_aborting"),
    (tcp.Connection, "_closeWriteConnection"),
    (tcp.Connector, "_makeTransport"),
    (tcp.Port, "_buildAddr"),
    (socket.socket, "_accept"),
    (unix.Connector, "_makeTransport"),
    (unix.Server, "_ancillaryLevelSOLSOCKETTypeSCMRIGHTS"),
)

#: Attributes that an instance has only once it is made.
DESCRIPTOR_ATTRIBUTES = ("_tempDataBuffer", "_tempDataLen", "dataBuffer", "offset")
REACTOR_ATTRIBUTES = (
    "_justStopped",
    "_newTimedCalls",
    "_pendingTimedCalls",
    "_poller",
    "_reads",
    "_selectables",
    "_started",
    "_writes",
    "threadCallQueue",
)


def missing() -> list[str]:
    """Name what this Twisted lacks of what we rely on; nothing, if we know it."""
    lacking = [
        f"{getattr(owner, '__name__', owner)}.{name}"
        for owner, name in REQUIRED
        if not hasattr(owner, name)
    ]
    reactor = epollreactor.EPollReactor()
    descriptor = abstract.FileDescriptor(reactor)
    try:
        lacking += [
            f"EPollReactor.{name}" for name in REACTOR_ATTRIBUTES if not hasattr(reactor, name)
        ]
        lacking += [
            f"FileDescriptor.{name}"
            for name in DESCRIPTOR_ATTRIBUTES
            if not hasattr(descriptor, name)
        ]
    finally:
        _close(reactor)
    return lacking


def _close(reactor: epollreactor.EPollReactor) -> None:
    reactor.removeAll()
    reactor._poller.close()
    if reactor.waker is not None:
        reactor.waker.connectionLost(None)
