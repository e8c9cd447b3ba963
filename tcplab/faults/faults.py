"""The faults of a service: added and removed while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol

from tcplab.faults.dice import Dice, randomSeed
from tcplab.faults.fault import ListenerFault
from tcplab.faults.filter import FaultFilter
from tcplab.faults.listenerfaults import ListenerFaults
from tcplab.faults.parse import parseFault
from tcplab.faults.pipeline import ActiveFault
from tcplab.faults.spec import FaultError, FaultSpec
from tcplab.listener.events import Connection as Told
from tcplab.listener.policy import Policy, PolicyListener
from tcplab.reactor.coalescing import spliceOf
from tcplab.reactor.stack import bottomTransport

log = Logger("tcplab.policies.faults.standing")


class NamedFault(NamedTuple):
    """A fault that stands: its name, and what was ordered."""

    name: str
    spec: FaultSpec


class ActiveFaults:
    """
    Know the faults that stand, and whom they hit.

    :ivar seed: of the dice; ``None``: one is chosen, and logged, as soon as it is needed.
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
        """Take a fault in, and name it."""
        if spec.rolls and self.seed is None:
            self.seed = randomSeed()
            log.info(
                "faults roll dice: --seed {seed} repeats them", log_system="tcplab", seed=self.seed
            )
        # A name is given once: who removes a fault twice removes nobody else's.
        kind = spec.fault.kind
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        name = kind if number == 1 else f"{kind}-{number}"
        self._specs[name] = spec
        self._counts[name] = 0
        return name

    def remove(self, name: str) -> None:
        """
        Forget a fault.

        :raises FaultError: there is none of this name.
        """
        if name not in self._specs:
            there = ", ".join(self._specs) or "none at all"
            raise FaultError(f"there is no fault named {name!r}; there are: {there}")
        del self._specs[name], self._counts[name]

    def dice(self, *whose: object) -> Dice:
        """Return the dice of a fault, on a listener's connection, in a direction."""
        return Dice(self.seed or 0, *whose)

    # Whom they hit

    def arriving(self, listener: str, number: int) -> list[str]:
        """Count a new connection, and name the faults that hit it."""
        hitting = []
        for name, spec in self._specs.items():
            if spec.listener in (None, listener) and not isinstance(spec.fault, ListenerFault):
                self._counts[name] += 1
                if self.hits(name, self._counts[name], listener, number):
                    hitting.append(name)
        return hitting

    def hits(self, name: str, count: int | None, listener: str, number: int) -> bool:
        """Tell whether a fault hits a connection; ``None``: that was there before."""
        selection = self._specs[name].selection
        if not selection.includes(count):
            return False
        if selection.probability in (0.0, 1.0):
            return selection.probability == 1.0
        return self.dice(name, listener, number).fraction("hit") < selection.probability


class Faults(Policy):
    """
    Break the connections of some listeners on purpose.

    A fault works from the moment it is added, on live connections too, unless it counts them; it
    ends when it is removed, and what it holds goes on. Where none applies nothing stands in the way
    of a byte, and until the first is added nobody is told of a connection.

    :param seed: repeats all rolls of the dice; ``None``: one is chosen, and logged if it is used.
    :param clock: keeps the time; ``None`` means the reactor of the first port.
    :param client: they are worn by whoever connects: what we read goes downstream then.
    :param observers: who is told of hits on connections of no listener.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        clock: Any = None,
        client: bool = False,
        observers: object = None,
    ) -> None:
        super().__init__(clock)
        self._observers = observers
        self._reading = "downstream" if client else "upstream"
        self._register = ActiveFaults(seed)
        self._filters: dict[Any, FaultFilter] = {}
        self._doorkeeper = ListenerFaults(clock)

    # Which faults stand

    @property
    def seed(self) -> int | None:
        """The seed of the dice, given or chosen; ``None`` as long as none was needed."""
        return self._register.seed

    def add(self, fault: str | FaultSpec) -> str:
        """
        Add a fault.

        :param fault: as text, ``KIND[,key=value…][@LISTENER]``, or as a value.
        :return: its name, to remove it.
        :raises FaultError: it makes no sense; the text is one line.
        """
        spec = parseFault(fault) if isinstance(fault, str) else fault
        self._check(spec)
        name = self._register.add(spec)
        for listener in self.listeners:
            self._call(listener)
        if isinstance(spec.fault, ListenerFault):
            self._doorkeeper.add(name, spec)
        else:
            self._hitLive(name, spec)
        return name

    def remove(self, name: str) -> None:
        """
        Remove a fault; what it holds goes on at once, in order.

        :raises FaultError: there is none of this name.
        """
        self._register.remove(name)
        self._doorkeeper.remove(name)
        self._heal(name)

    def clear(self) -> None:
        """Remove all."""
        for name, _ in self._register:
            self.remove(name)

    def list(self) -> tuple[NamedFault, ...]:
        """Return those that stand, in the order in which they were added."""
        return tuple(self._register)

    def _check(self, spec: FaultSpec) -> None:
        names = [listener.name for listener in self.listeners]
        if spec.listener is not None and names and spec.listener not in names:
            raise FaultError(
                f"fault {spec.text!r}: there is no listener {spec.listener!r};"
                f" there are {', '.join(names)}"
            )

    # Whom they hit

    def watch(self, listener: PolicyListener) -> None:
        """Break the connections of this listener too, and its doors."""
        self.listeners = (*self.listeners, listener)
        if self._register:
            self._call(listener)
        self._doorkeeper.watch(listener)

    def removeEndless(self) -> None:
        """End, on live connections, what would keep them for ever: who serves them wants to end."""
        for name, spec in self._register:
            if spec.fault.endless and spec.trigger.duration is None:
                self._heal(name)

    def stopped(self) -> None:
        """Live connections are well from here on. The faults stay."""
        for listener in self.listeners:
            self._doorkeeper.forget(listener)
        for name, _ in self._register:
            self._heal(name)

    def _call(self, listener: Any) -> None:
        if self not in listener.policies:
            listener.addPolicy(self)

    def useClock(self, clock: IReactorTime) -> None:
        """Keep the time by this clock, unless another was given."""
        super().useClock(clock)
        self._doorkeeper.clock = self.clock

    def portAdded(self, listener: Any) -> None:
        """A listener has one port more."""
        self._doorkeeper.update(listener)

    def connectionAccepted(self, transport: Any) -> None:
        """Count a new connection, and put the faults that hit it in its way."""
        filter = self.connect(transport, *transport.connection[:2])
        if filter is not None:
            self._filters[transport] = filter

    def connectionOpened(self, transport: Any) -> None:
        """Let its faults begin."""
        filter = self._filters.get(transport)
        if filter is not None:
            filter.start()

    def connectionClosed(self, transport: Any) -> None:
        """Forget it."""
        self._filters.pop(transport, None)

    def connect(self, transport: Any, listener: str, number: int) -> FaultFilter | None:
        """
        Put faults in the way of a connection that is about to be made.

        :param transport: whose ``protocol`` is known.
        :return: the filter, which is to be started, if there is any fault for it.
        """
        names = self._register.arriving(listener, number)
        return self._put(names, transport, listener, number, True) if names else None

    def _hitLive(self, name: str, spec: FaultSpec) -> None:
        watched = [each for each in self.listeners if spec.listener in (None, each.name)]
        live = [transport for listener in watched for transport in listener.connections]
        reading = _readingTransports(live)
        for transport in live:
            listener, number = transport.connection[:2]
            if self._register.hits(name, None, listener, number):
                filter = self._put([name], transport, listener, number, transport in reading)
                self._filters[transport] = filter
                if transport.established:
                    filter.start()

    def _put(
        self, names: Sequence[str], transport: Any, listener: str, number: int, reading: bool
    ) -> FaultFilter:
        speaking = _topTransport(transport)
        filter = spliceOf(speaking)  # others may have put theirs there
        if not isinstance(filter, FaultFilter):
            tell = _hitReporter(transport, listener, number, self._observers)
            filter = FaultFilter(speaking, self.clock, tell, reading)
        for name in names:
            spec = self._register[name]
            for direction in spec.directions(self._reading):
                dice = self._register.dice(name, listener, number, direction)
                link = ActiveFault(name, spec, direction, dice, filter, self)
                filter.add(link, direction == self._reading)
        return filter

    def _heal(self, name: str) -> None:
        for transport, filter in list(self._filters.items()):
            filter.remove(name, self)
            if filter.detached:
                self._filters.pop(transport, None)


def _topTransport(transport: Any) -> Any:
    """Return what the protocol speaks through: the transport, or TLS upon it."""
    above = getattr(transport, "protocol", None)
    while isinstance(above, TLSMemoryBIOProtocol):
        transport, above = above, above.wrappedProtocol
    return transport


def _readingTransports(live: Sequence[Any]) -> set[Any]:
    """Return the transports that read now; all at once, as to ask for each would cost more."""
    reactors = {transport.reactor for transport in live}
    if not all(hasattr(reactor, "getReaders") for reactor in reactors):
        return set(live)
    found = [each for reactor in reactors for each in reactor.getReaders()]
    return {each for each in found if isinstance(each, Connection)}


def _hitReporter(transport: Any, listener: str, number: int, observers: object) -> Any:
    """Make what tells the observers of a connection, or others if it has none, about hits."""
    bottom: Any = bottomTransport(transport)

    def hear(link: ActiveFault, at: int) -> None:
        where = "" if link.direction == "downstream" else f" direction={link.direction}"
        tell = getattr(getattr(bottom, "listener", None), "observers", observers)
        hook = getattr(tell, "faultHit", None)
        if hook is not None:
            connection = getattr(bottom, "connection", None) or Told(
                listener, number, bottom.logstr, bottom.getPeer(), bottom.getHost()
            )
            hook(connection, f"{link.name} at={at}{where}")

    return hear
