"""The faults of listening ports: which ports refuse or hang now."""

from __future__ import annotations

import select

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tcplab.faults.fault import ListenerFault, PortFault, StreamPort
from tcplab.faults.spec import FaultSpec
from tcplab.listener.policy import PolicyListener

# How often a port accepts, 64 connections at a time, before a fault begins.
_BATCHES = 16


class FaultyPort:
    """
    A port, and the fault that acts on it now.

    A client that connected before the fault began is accepted. The port keeps its address, also
    one that the system chose, and no other process can take it.

    :param port: one of Twisted's own ports.
    """

    def __init__(self, port: StreamPort) -> None:
        self._port = port
        self._fault: ListenerFault | None = None
        self._acting: PortFault | None = None

    def set(self, fault: ListenerFault | None) -> None:
        """
        Let this fault act from now on, or none.

        The port stops reading when a fault begins. It is read again when its listener resumes.
        """
        if fault == self._fault or not self._port.connected:
            return
        if fault is not None:
            if self._acting is None:
                self._acceptPending()
            self._port.stopReading()  # epoll forgets a descriptor that becomes another socket's
        if self._acting is not None:
            self._acting.end()
        self._fault = fault
        self._acting = None if fault is None else fault.onPort(self._port)
        if self._acting is not None:
            self._acting.begin()

    def _acceptPending(self) -> None:
        pending = select.poll()
        pending.register(self._port.fileno(), select.POLLIN)
        for _ in range(_BATCHES):
            if not pending.poll(0):
                return
            self._port.doRead()


#: The reason of a listener for not accepting.
FAULT = "fault"


class ListenerFaults:
    """
    The faults ``refuse`` and ``hang`` on the ports of some listeners.

    :param clock: keeps the time; ``None``: it begins with `useClock`.
    """

    def __init__(self, clock: IReactorTime | None) -> None:
        self._clock = clock
        self._ports: dict[PolicyListener, dict[StreamPort, FaultyPort]] = {}
        self._specs: dict[str, FaultSpec] = {}
        self._acting: dict[str, FaultSpec] = {}
        self._timers: dict[str, IDelayedCall] = {}

    def watch(self, listener: PolicyListener) -> None:
        """Act on this listener too; with the first one the time of all faults begins."""
        first = not self._ports
        self._ports[listener] = {}
        self.update(listener)
        if first:
            self._scheduleAll()
            return
        for name, spec in self._acting.items():
            _report(name, spec, listener)

    def useClock(self, clock: IReactorTime) -> None:
        """Keep the time by this clock, unless there is one: the first port has been added."""
        if self._clock is None:
            self._clock = clock
            if self._ports:
                self._scheduleAll()

    def forget(self, listener: PolicyListener) -> None:
        """End all faults on a listener, and act on it no more."""
        for port in self._ports.pop(listener, {}).values():
            port.set(None)
        listener.resume(FAULT)
        if not self._ports:
            for name in self._specs:
                self._end(name)

    def add(self, name: str, spec: FaultSpec) -> None:
        """Add a fault, which begins when its time has come."""
        self._specs[name] = spec
        if self._ports and self._clock is not None:
            self._schedule(name, self._clock)

    def remove(self, name: str) -> None:
        """Remove a fault, if it is there."""
        if self._specs.pop(name, None) is not None:
            self._end(name)

    # From a fault's beginning to its end

    def _scheduleAll(self) -> None:
        if self._clock is not None:
            for name in self._specs:
                self._schedule(name, self._clock)

    def _schedule(self, name: str, clock: IReactorTime) -> None:
        after = self._specs[name].trigger.afterSeconds
        if after:
            self._timers[name] = clock.callLater(after, self._begin, name, clock)
        else:
            self._begin(name, clock)

    def _begin(self, name: str, clock: IReactorTime) -> None:
        self._timers.pop(name, None)
        spec = self._acting[name] = self._specs[name]
        self._updateAll()
        for listener in self._ports:
            _report(name, spec, listener)
        if spec.trigger.duration is not None:
            self._timers[name] = clock.callLater(spec.trigger.duration, self._end, name)

    def _end(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()
        if self._acting.pop(name, None) is not None:
            self._updateAll()

    # The ports

    def _updateAll(self) -> None:
        for listener in self._ports:
            self.update(listener)

    def update(self, listener: PolicyListener) -> None:
        """Have the faults that act now act on a listener's ports, new ones too."""
        fault = self._current(listener)
        known = self._ports[listener]
        ports = {port: known.get(port) or FaultyPort(port) for port in listener.ports}
        self._ports[listener] = ports
        for port in ports.values():
            port.set(fault)
        if fault is None:
            listener.resume(FAULT)
        else:
            listener.suspend(FAULT)  # to poll a port that does not listen would be a busy loop

    def _current(self, listener: PolicyListener) -> ListenerFault | None:
        faults = [
            spec.fault
            for spec in self._acting.values()
            if spec.listener in (None, listener.name) and isinstance(spec.fault, ListenerFault)
        ]
        return max(faults, key=lambda fault: fault.precedence, default=None)


def _report(name: str, spec: FaultSpec, listener: PolicyListener) -> None:
    if spec.listener in (None, listener.name):
        listener.observers.faultHit(None, f"{name} listener={listener.name}")
