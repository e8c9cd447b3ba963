"""The doorkeeper: which doors are shut now, and by which faults."""

from __future__ import annotations

from typing import Any

from tcplab.policies.faults.door import Door
from tcplab.policies.faults.spec import FaultSpec
from tcplab.reactor.port import Listener

_REASON = "fault"


class Doorkeeper:
    """
    Shut the doors of some listeners while a fault ``refuse`` or ``hang`` says so.

    Of several that act, ``refuse`` wins.

    :param clock: keeps the time.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._doors: dict[Listener, dict[Any, Door]] = {}
        self._specs: dict[str, FaultSpec] = {}
        self._acting: dict[str, FaultSpec] = {}
        self._timers: dict[str, Any] = {}

    def watch(self, listener: Listener) -> None:
        """Keep the doors of this listener too; with the first the time of all faults begins."""
        first = not self._doors
        self._doors[listener] = {}
        self.update(listener)
        if first:
            for name in self._specs:
                self._await(name)

    def forget(self, listener: Listener) -> None:
        """Open the doors of a listener, and keep them no more."""
        for door in self._doors.pop(listener, {}).values():
            door.set("open")
        listener.resume(_REASON)
        if not self._doors:
            for name in self._specs:
                self._end(name)

    def add(self, name: str, spec: FaultSpec) -> None:
        """Begin with a fault, when its time comes."""
        self._specs[name] = spec
        if self._doors:
            self._await(name)

    def remove(self, name: str) -> None:
        """End a fault."""
        if self._specs.pop(name, None) is not None:
            self._end(name)

    # From a fault's beginning to its end

    def _await(self, name: str) -> None:
        after = self._specs[name].trigger.afterSeconds
        if after:
            self._timers[name] = self._clock.callLater(after, self._begin, name)
        else:
            self._begin(name)

    def _begin(self, name: str) -> None:
        self._timers.pop(name, None)
        spec = self._acting[name] = self._specs[name]
        self._updateAll()
        for listener in self._doors:
            if spec.listener in (None, listener.name):
                _tell(listener, name)
        if spec.trigger.lasting is not None:
            self._timers[name] = self._clock.callLater(spec.trigger.lasting, self._end, name)

    def _end(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()
        if self._acting.pop(name, None) is not None:
            self._updateAll()

    # The doors

    def _updateAll(self) -> None:
        for listener in self._doors:
            self.update(listener)

    def update(self, listener: Listener) -> None:
        """Put the doors of a listener's ports, new ones too, as the faults say."""
        state = self._state(listener)
        doors = self._doors[listener]
        present = {port: doors.get(port) or Door(port) for port in listener.ports}
        if state == "refuse" or state == "hang":
            for door in present.values():
                door.set(state)
            listener.suspend(_REASON)  # a port that does not listen would never sleep
        else:
            for door in present.values():
                door.set("open")
            listener.resume(_REASON)
        self._doors[listener] = present

    def _state(self, listener: Listener) -> str:
        kinds = {
            spec.fault.kind
            for spec in self._acting.values()
            if spec.listener in (None, listener.name)
        }
        return "refuse" if "refuse" in kinds else "hang" if "hang" in kinds else "open"


def _tell(listener: Listener, name: str) -> None:
    hook = getattr(listener.observers, "faultHit", None)
    if hook is not None:
        hook(None, f"{name} listener={listener.name}")
