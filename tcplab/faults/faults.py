"""The faults of a service: added and removed while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.tcp import Connection as SocketTransport
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol

from tcplab.faults.dice import Dice, randomSeed
from tcplab.faults.fault import ListenerFault
from tcplab.faults.filter import FaultFilter
from tcplab.faults.listenerfaults import ListenerFaults
from tcplab.faults.pipeline import ActiveFault
from tcplab.faults.spec import FaultError, FaultSpec, parseFault
from tcplab.listener.events import Connection, Observer
from tcplab.listener.policy import Policy, PolicyListener, checkListener
from tcplab.listener.servertransport import ObservedTransport
from tcplab.reactor.coalescing import spliceOf
from tcplab.reactor.stack import reactorOf, socketTransport
from tcplab.wire.suggestion import suggest

log = Logger("tcplab.policies.faults.standing")


class NamedFault(NamedTuple):
    """A fault that was added: its name, and its specification."""

    name: str
    spec: FaultSpec


class FaultRegistry:
    """
    The faults that were added, and which connections they hit.

    :ivar seed: of the dice; ``None``: one is chosen and logged as soon as it is needed.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self._specs: dict[str, FaultSpec] = {}
        self._counts: dict[str, int] = {}
        self._numbers: dict[str, int] = {}

    def __iter__(self) -> Iterator[NamedFault]:
        return iter([NamedFault(name, spec) for name, spec in self._specs.items()])

    def __len__(self) -> int:
        return len(self._specs)

    def __getitem__(self, name: str) -> FaultSpec:
        return self._specs[name]

    def add(self, spec: FaultSpec) -> str:
        """Add a fault, and return its name."""
        if spec.rolls and self.seed is None:
            self.seed = randomSeed()
            log.info(
                "some faults are random: --seed {seed} repeats them",
                log_system="tcplab",
                seed=self.seed,
            )
        # A name is given once: to remove a fault twice removes no other.
        kind = spec.fault.kind
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        name = kind if number == 1 else f"{kind}-{number}"
        self._specs[name] = spec
        self._counts[name] = 0
        return name

    def remove(self, name: str) -> None:
        """
        Remove a fault.

        :raises FaultError: no fault has this name.
        """
        if name not in self._specs:
            there = f"the names are {', '.join(self._specs)}" if self._specs else "none is set"
            raise FaultError(
                f"there is no fault named {name!r}{suggest(name, self._specs)}; {there}"
            )
        del self._specs[name], self._counts[name]

    def dice(self, *whose: object) -> Dice:
        """Return the dice of a fault, on a listener's connection, in a direction."""
        return Dice(self.seed or 0, *whose)

    # Which connections they hit

    def select(self, listener: str, number: int, counted: bool = True) -> list[str]:
        """
        Count a new connection, and return the names of the faults that hit it.

        :param counted: it is a client's; a proxy's own has no number.
        """
        return [
            name
            for name in self._of(listener, onData=False)
            if self.hits(name, self.count(name) if counted else None, listener, number)
        ]

    def waiting(self, listener: str) -> list[str]:
        """Return the names of the faults that may hit a connection at its first byte."""
        return self._of(listener, onData=True)

    def _of(self, listener: str, onData: bool) -> list[str]:
        return [
            name
            for name, spec in self._specs.items()
            if spec.listener in (None, listener)
            and spec.selection.onData is onData
            and not isinstance(spec.fault, ListenerFault)
        ]

    def count(self, name: str) -> int:
        """Return the number of one connection more for a fault."""
        self._counts[name] += 1
        return self._counts[name]

    def hits(self, name: str, count: int | None, listener: str, number: int) -> bool:
        """
        Tell whether a fault hits a connection.

        :param count: of the connections since the fault was added; ``None``: it is an older one.
        :param number: the connection's, on this listener.
        """
        selection = self._specs[name].selection
        if not selection.includes(count):
            return False
        if selection.probability in (0.0, 1.0):
            return selection.probability == 1.0
        return self.dice(name, listener, number).fraction("hit") < selection.probability


class Faults(Policy):
    """
    Break the connections of some listeners on purpose.

    A fault acts as soon as it is added, on open connections too unless it counts them. It ends
    when it is removed, and what it holds goes on. A connection without a fault has no filter. Until
    the first fault is added no hook of this policy is called.

    :param seed: repeats all rolls of the dice; ``None``: one is chosen, and logged if it is used.
    :param clock: keeps the time; ``None`` means the reactor of each connection.
    :param client: the connections are those of a client: what is read goes downstream.
    :param observers: receives the hits on connections of no listener.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        clock: IReactorTime | None = None,
        client: bool = False,
        observers: Observer | None = None,
    ) -> None:
        super().__init__(clock)
        self._clock = clock
        self._observers = observers
        self._reading = "downstream" if client else "upstream"
        self._registry = FaultRegistry(seed)
        self._filters: dict[object, FaultFilter] = {}
        self._listenerFaults = ListenerFaults(clock)

    # Which faults there are

    @property
    def seed(self) -> int | None:
        """The seed of the dice, given or chosen; ``None`` as long as none was needed."""
        return self._registry.seed

    def add(self, fault: str | FaultSpec) -> str:
        """
        Add a fault.

        :param fault: as text, ``KIND[,key=value…][@LISTENER]``, or as a value.
        :return: its name, to remove it.
        :raises FaultError: the text is no fault, or no listener has its name; in one line.
        """
        spec = parseFault(fault) if isinstance(fault, str) else fault
        if not isinstance(spec, FaultSpec):
            raise FaultError(f"fault {spec!r}: give a text, or a FaultSpec")
        self._checkListener(spec)
        name = self._registry.add(spec)
        for listener in self.listeners:
            self._addTo(listener)
        if isinstance(spec.fault, ListenerFault):
            self._listenerFaults.add(name, spec)
        else:
            self._addToConnections(name, spec)
        return name

    def remove(self, name: str) -> None:
        """
        Remove a fault; what it holds goes on at once, in order.

        :raises FaultError: no fault has this name.
        """
        self._registry.remove(name)
        self._listenerFaults.remove(name)
        self._removeFromConnections(name)

    def clear(self) -> None:
        """Remove all faults."""
        for name, _ in self._registry:
            self.remove(name)

    def list(self) -> tuple[NamedFault, ...]:
        """Return all faults, in the order in which they were added."""
        return tuple(self._registry)

    def removeEndless(self) -> None:
        """End on open connections the faults that may keep them for ever: a drain begins."""
        for name, spec in self._registry:
            if spec.fault.endless and spec.trigger.duration is None:
                self._removeFromConnections(name)

    def _checkListener(self, spec: FaultSpec) -> None:
        names = [listener.name for listener in self.listeners]
        if spec.listener is not None and names and spec.listener not in names:
            raise FaultError(
                f"fault {spec.text!r}: there is no listener {spec.listener!r}"
                f"{suggest(spec.listener, names)}; the listeners are {', '.join(names)}"
            )

    # Their listeners

    def watch(self, listener: PolicyListener) -> None:
        """
        Break the connections of this listener too, and its ports.

        :raises TypeError: it is no listener.
        """
        checkListener(listener)
        self.listeners = (*self.listeners, listener)
        if self._registry:
            self._addTo(listener)
        self._listenerFaults.watch(listener)

    def _addTo(self, listener: PolicyListener) -> None:
        if self not in listener.policies:
            listener.addPolicy(self)

    def stopped(self) -> None:
        """End all faults on open connections and ports; `list` still has them."""
        for listener in self.listeners:
            self._listenerFaults.forget(listener)
        for name, _ in self._registry:
            self._removeFromConnections(name)

    def useClock(self, clock: IReactorTime) -> None:
        """Keep the time by this clock, unless another was given."""
        super().useClock(clock)
        self._listenerFaults.useClock(self.clock)

    def portAdded(self, listener: PolicyListener) -> None:
        """Have the faults of ports act on a new one."""
        self._listenerFaults.update(listener)

    # Their connections

    def connectionAccepted(self, transport: ObservedTransport) -> None:
        """Count a new connection, and insert the faults that hit it."""
        filter = self._connected(transport, *transport.connection[:2], not transport.local)
        if filter is not None:
            self._filters[transport] = filter

    def connectionOpened(self, transport: object) -> None:
        """Let the faults of a connection begin."""
        filter = self._filters.get(transport)
        if filter is not None:
            filter.start()

    def connectionClosed(self, transport: object) -> None:
        """Forget a connection."""
        self._filters.pop(transport, None)

    def connect(self, transport: object, listener: str, number: int) -> FaultFilter | None:
        """
        Insert the faults that hit a connection, before it is made.

        :param transport: its transport, which has its protocol already.
        :return: their filter, which is to be started; ``None``: no fault hits it.
        """
        return self._connected(transport, listener, number, True)

    def _connected(
        self, transport: object, listener: str, number: int, counted: bool
    ) -> FaultFilter | None:
        names = self._registry.select(listener, number, counted)
        waiting = self._registry.waiting(listener)
        if not names and not waiting:
            return None
        filter = self._insert(names, transport, listener, number, True)
        for name in waiting:
            self._wait(name, filter, listener, number, counted)
        return filter

    def _wait(
        self, name: str, filter: FaultFilter, listener: str, number: int, counted: bool
    ) -> None:
        def received() -> None:
            count = self._registry.count(name) if counted else None
            if self._registry.hits(name, count, listener, number):
                self._activate(name, filter, listener, number)

        filter.whenReceived(name, self, received)

    def _addToConnections(self, name: str, spec: FaultSpec) -> None:
        watched = [each for each in self.listeners if spec.listener in (None, each.name)]
        live = [transport for listener in watched for transport in listener.connections]
        reading = _readingTransports(live)
        for transport in live:
            listener, number = transport.connection[:2]
            if self._registry.hits(name, None, listener, number):
                waits = spec.selection.onData and not transport.received
                names = [] if waits else [name]
                filter = self._insert(names, transport, listener, number, transport in reading)
                if waits:
                    self._wait(name, filter, listener, number, False)
                self._filters[transport] = filter
                if transport.established:
                    filter.start()

    def _insert(
        self, names: Sequence[str], transport: object, listener: str, number: int, reading: bool
    ) -> FaultFilter:
        top = _topTransport(transport)
        filter = spliceOf(top)  # other `Faults` may have inserted one
        if not isinstance(filter, FaultFilter):
            report = self._hitReporter(transport, listener, number)
            filter = FaultFilter(top, self._clock or reactorOf(transport), report, reading)
        for name in names:
            self._activate(name, filter, listener, number)
        return filter

    def _activate(self, name: str, filter: FaultFilter, listener: str, number: int) -> None:
        spec = self._registry[name]
        for direction in spec.directions(self._reading):
            dice = self._registry.dice(name, listener, number, direction)
            fault = ActiveFault(name, spec, direction, dice, filter, self)
            filter.add(fault, direction == self._reading)

    def _removeFromConnections(self, name: str) -> None:
        for transport, filter in list(self._filters.items()):
            filter.remove(name, self)
            if filter.detached:
                self._filters.pop(transport, None)

    def _hitReporter(
        self, transport: object, listener: str, number: int
    ) -> Callable[[ActiveFault, int], None]:
        observers = self._observers
        bottom = None if observers is None else socketTransport(transport)
        connection = None
        if bottom is not None:
            # A client's: a hit may end the connection before it is reported, and so the addresses.
            addresses = bottom.getPeer(), bottom.getHost()
            connection = Connection(listener, number, bottom.logPrefix(), *addresses)

        def report(fault: ActiveFault, at: int) -> None:
            where = "" if fault.direction == "downstream" else f" direction={fault.direction}"
            text = f"{fault.name} at={at}{where}"
            bottom = socketTransport(transport)
            if isinstance(bottom, ObservedTransport):
                bottom.listener.observers.faultHit(bottom.connection, text)
            elif observers is not None and connection is not None:
                observers.faultHit(connection, text)

        return report


def _topTransport(transport: object) -> object:
    """Return the transport that the protocol uses: this one, or TLS upon it."""
    above = transport.protocol if isinstance(transport, SocketTransport) else None
    while isinstance(above, TLSMemoryBIOProtocol):
        transport, above = above, above.wrappedProtocol
    return transport


def _readingTransports(live: Sequence[ObservedTransport]) -> set[object]:
    """Return the transports that read now; all at once, since to ask for each would cost more."""
    reactors = {transport.reactor for transport in live}
    if not all(IReactorFDSet.providedBy(reactor) for reactor in reactors):
        return set(live)
    found = [each for reactor in reactors for each in reactor.getReaders()]
    return {each for each in found if isinstance(each, ObservedTransport)}
