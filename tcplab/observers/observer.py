"""A group of observers."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.events import Connection, Ending, Observer

log = Logger("tcplab.observers.observers")

_HOOKS = ("useClock", "connectionOpened", "messageReported", "faultHit", "connectionClosed")


class Observers(Observer):
    """
    Call several observers, in the order given.

    An observer that raises an exception is logged once and removed: to observe a connection must
    not break it. Hooks that an observer does not have, or inherits from `Observer`, are not called.
    """

    def __init__(self, *observers: object) -> None:
        self._observers = list(observers)
        self._hooks: dict[str, list[tuple[object, Callable[..., object]]]] = {}
        self._clock: IReactorTime | None = None
        self._lookUp()

    def add(self, observer: object) -> None:
        """Call this one too, from now on."""
        self._observers.append(observer)
        self._lookUp()
        if self._clock is not None:
            self.useClock(self._clock)

    def remove(self, observer: object) -> None:
        """
        Call this one no more.

        :raises ValueError: it is not in the group.
        """
        if not self._drop(observer):
            raise ValueError(f"{observer!r} is not in the group")

    def _drop(self, observer: object) -> bool:
        # By identity: of two that are equal, the one that failed is removed.
        staying = [each for each in self._observers if each is not observer]
        found = len(staying) < len(self._observers)
        self._observers = staying
        self._lookUp()
        return found

    def _lookUp(self) -> None:
        # Once a change, not once an event.
        for name in _HOOKS:
            default = getattr(Observer, name)
            hooks = [(each, getattr(each, name, None)) for each in self._observers]
            self._hooks[name] = [
                (each, hook)
                for each, hook in hooks
                if hook is not None and getattr(hook, "__func__", None) is not default
            ]

    # Loops that look alike: a common one would cost each connection two microseconds.

    def connectionOpened(self, connection: Connection) -> None:
        """Report a connection as open."""
        for observer, hook in self._hooks["connectionOpened"]:
            try:
                hook(connection)
            except Exception:
                self._failed(observer)

    def messageReported(self, connection: Connection, message: bytes) -> None:
        """Report a message that a behaviour received."""
        for observer, hook in self._hooks["messageReported"]:
            try:
                hook(connection, message)
            except Exception:
                self._failed(observer)

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        """Report the end of a connection."""
        for observer, hook in self._hooks["connectionClosed"]:
            try:
                hook(connection, ending)
            except Exception:
                self._failed(observer)

    def faultHit(self, connection: Connection | None, text: str) -> None:
        """Report that a fault hit a connection, or a listener."""
        for observer, hook in self._hooks["faultHit"]:
            try:
                hook(connection, text)
            except Exception:
                self._failed(observer)

    def useClock(self, clock: IReactorTime) -> None:
        """Offer a clock."""
        self._clock = clock
        for observer, hook in self._hooks["useClock"]:
            try:
                hook(clock)
            except Exception:
                self._failed(observer)

    def _failed(self, observer: object) -> None:
        log.failure("{observer} failed and is removed", observer=observer)
        self._drop(observer)
