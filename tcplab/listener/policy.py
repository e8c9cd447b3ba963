"""What a policy is: how the connections of some listeners are treated. All hooks stand here."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.events import Observer
from tcplab.listener.servertransport import ObservedTransport, ProxiedPeer

log = Logger("tcplab.reactor.guards")

_Result = TypeVar("_Result")

#: The policies that override one hook, each with its method.
Hooks = list[tuple["Policy", Callable[..., _Result]]]


class ConnectionMaker(Protocol):
    """
    What makes connections of accepted sockets.

    :ivar reactor: runs them.
    """

    reactor: Any

    def connectFiltered(
        self,
        client: socket.socket,
        address: object,
        proxied: ProxiedPeer | None = None,
        local: bool = False,
        /,
    ) -> None:
        """Make a connection: of a peer that a proxy speaks for, or of the proxy itself."""


class ListenerFilter(Protocol):
    """
    What runs on accepted sockets before a connection is made of them.

    Such sockets are no connections of the listener yet: no policy and no observer knows them.
    """

    def __len__(self) -> int:
        """Return the number of sockets in the filter."""

    def accepted(self, client: socket.socket, address: object, maker: ConnectionMaker, /) -> None:
        """
        Take a socket; when it is ready hand it to ``maker``.

        :param address: as ``accept()`` gave it.
        """

    def resume(self) -> None:
        """Hand on the sockets that were ready while the listener was suspended."""

    def drain(self) -> None:
        """Finish soon: the listener accepts no more, and waits until it is empty."""

    def abort(self) -> None:
        """Reset all sockets."""


class PolicyListener(Protocol):
    """
    What a policy may use of a `tcplab.listener.listener.Listener`, which has its documentation.

    :ivar name: its name in the log.
    """

    name: str
    observers: Observer
    connections: set[ObservedTransport]
    suspended: bool
    draining: bool
    filter: ListenerFilter | None

    @property
    def ports(self) -> list[Any]: ...

    @property
    def policies(self) -> tuple[Policy, ...]: ...

    def addPolicy(self, policy: Policy, *, first: bool = False) -> None: ...

    def removePolicy(self, policy: Policy) -> None: ...

    def setFilter(self, filter: ListenerFilter) -> None: ...

    def suspend(self, reason: str) -> None: ...

    def resume(self, reason: str) -> None: ...

    def mayAccept(self) -> bool: ...

    def checkEmpty(self) -> None: ...


class Policy:
    """
    How the connections of some listeners are treated, whatever they carry.

    >>> class OneAtATime(Policy):
    ...     def admit(self, address):
    ...         busy = any(each.connections for each in self.listeners)
    ...         return b"busy\\n" if busy else None
    >>> lab = Lab("echo", port=0, policies=[OneAtATime()])

    Every method down to `stopped` is a hook: override what is needed. A listener calls only the
    hooks that a class overrides, in the order in which its policies were added. No hook needs
    ``super()``, and neither does ``__init__``. An exception in a hook is logged; it harms no
    connection.

    :param clock: keeps the time; ``None`` means the reactor of the first port that is watched.
    :ivar listeners: the listeners that are watched.
    """

    clock: IReactorTime
    listeners: tuple[PolicyListener, ...] = ()
    _hasClock = False

    def __init__(self, clock: IReactorTime | None = None) -> None:
        if clock is not None:
            self.clock = clock
            self._hasClock = True

    # Hooks

    def admit(self, address: object) -> bytes | None:
        """
        Return the bytes to refuse a peer with, which may be none; or ``None`` to admit it.

        :param address: as ``accept()`` gives it; behind a proxy the peer's.
        """
        return None

    def mayAccept(self) -> bool:
        """Tell whether another connection may be accepted; asked before each ``accept()``."""
        return True

    def portAdded(self, listener: PolicyListener) -> None:
        """A watched listener has one port more."""

    def connectionAccepted(self, transport: ObservedTransport) -> None:
        """A connection was accepted; a TLS handshake may be ahead of it."""

    def connectionOpened(self, transport: ObservedTransport) -> None:
        """The handshake of a connection is complete, if there was one."""

    def connectionClosed(self, transport: ObservedTransport) -> None:
        """A connection has ended, whether it was opened or not."""

    def stopped(self) -> None:
        """The policy watches no listener any more. Cancel timers; `watch` may begin anew."""

    # Which listeners

    def watch(self, listener: PolicyListener) -> None:
        """
        Treat the connections of a listener from now on; the hooks are called for those open.

        :raises TypeError: it is no listener.
        """
        checkListener(listener)
        if listener in self.listeners:
            return
        self.listeners = (*self.listeners, listener)
        listener.addPolicy(self)
        for transport in sorted(listener.connections, key=_acceptedAt):
            self.connectionAccepted(transport)
            if transport.established:
                self.connectionOpened(transport)

    def stop(self) -> None:
        """Watch no listener any more."""
        for listener in self.listeners:
            listener.removePolicy(self)
        self.stopped()
        self.listeners = ()

    def useClock(self, clock: IReactorTime) -> None:
        """Keep the time by this clock, unless another was given."""
        if not self._hasClock:
            self.clock = clock


def checkListener(listener: object) -> None:
    """
    Refuse what is no listener, such as a lab.

    :raises TypeError: it is none.
    """
    if "addPolicy" not in dir(listener):
        raise TypeError(
            f"{listener!r} is no listener: watch each of lab.listeners,"
            " or give the policy to Lab(policies=[...])"
        )


def _acceptedAt(transport: ObservedTransport) -> float:
    return transport.accepted


class PolicyHooks:
    """
    The policies of one listener, and by hook the methods that override it.

    Overrides are looked up once a change, not for every connection.
    """

    def __init__(self) -> None:
        self.policies: list[Policy] = []
        self._lookUp()

    def add(self, policy: Policy, first: bool = False) -> None:
        """Call this one too, after the others, or ``first``."""
        self.policies.insert(0 if first else len(self.policies), policy)
        self._lookUp()

    def remove(self, policy: Policy) -> None:
        """Call this one no more; nothing happens if it is not there."""
        self.policies = [each for each in self.policies if each is not policy]
        self._lookUp()

    def _lookUp(self) -> None:
        self.admit: Hooks[bytes | None] = self._overriding("admit")
        self.mayAccept: Hooks[bool] = self._overriding("mayAccept")
        self.portAdded: Hooks[None] = self._overriding("portAdded")
        self.accepted: Hooks[None] = self._overriding("connectionAccepted")
        self.opened: Hooks[None] = self._overriding("connectionOpened")
        self.closed: Hooks[None] = self._overriding("connectionClosed")

    def _overriding(self, name: str) -> Hooks[Any]:
        default = getattr(Policy, name)
        return [
            (policy, getattr(policy, name))
            for policy in self.policies
            if getattr(type(policy), name) is not default
        ]


def call(hooks: Hooks[None], argument: object) -> None:
    """Call one hook of several policies; an exception is logged, and ends nothing else."""
    for policy, hook in hooks:
        try:
            hook(argument)
        except Exception:
            log.failure("{guard} failed", guard=policy)


def firstRefusal(hooks: Hooks[bytes | None], address: object) -> bytes | None:
    """Return the refusal of the first policy that refuses a peer; ``None`` to admit it."""
    for policy, admit in hooks:
        try:
            refusal = admit(address)
        except Exception:
            log.failure("{guard} failed", guard=policy)
        else:
            if isinstance(refusal, bytes):
                return refusal
            if refusal is not None:
                log.error(
                    "{guard}: admit() returned {refusal!r}: return bytes or None",
                    guard=policy,
                    refusal=refusal,
                )
                return b""
    return None


def allAccept(hooks: Hooks[bool]) -> bool:
    """Tell whether every policy lets another connection be accepted."""
    for policy, mayAccept in hooks:
        try:
            if not mayAccept():
                return False
        except Exception:
            log.failure("{guard} failed", guard=policy)
    return True
