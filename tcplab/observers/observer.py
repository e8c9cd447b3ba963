"""A group of observers that are told together."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from tcplab.listener.events import Connection, Ending, Observer

log = Logger("tcplab.observers.observers")


class Observers(Observer):
    """
    Tell several observers, in the order given.

    One that raises is logged once and told nothing more: watching must not break what is watched.
    """

    def __init__(self, *observers: object) -> None:
        self._observers = list(observers)
        self._hooks: dict[str, list[tuple[object, Callable[..., object]]]] = {}
        self._lookUp()

    def add(self, observer: object) -> None:
        """Tell this one too, from now on."""
        self._observers.append(observer)
        self._lookUp()

    def remove(self, observer: object) -> None:
        """
        Tell this one no more.

        :raises ValueError: it is not in the group.
        """
        if not self._drop(observer):
            raise ValueError(f"{observer!r} is not in the group")

    def _drop(self, observer: object) -> bool:
        # The very object: of two that are equal, the one that failed has to go.
        staying = [each for each in self._observers if each is not observer]
        found = len(staying) < len(self._observers)
        self._observers = staying
        self._lookUp()
        return found

    def _lookUp(self) -> None:
        # Once a change, not once an event: only hooks that are there cost anything.
        for name in ("connectionOpened", "messageReported", "faultHit", "connectionClosed"):
            hooks = [(each, getattr(each, name, None)) for each in self._observers]
            self._hooks[name] = [(each, hook) for each, hook in hooks if hook is not None]

    # Loops that look alike: a common one would cost each connection two microseconds.

    def connectionOpened(self, connection: Connection) -> None:
        """Tell that a peer is here."""
        for observer, hook in self._hooks["connectionOpened"]:
            try:
                hook(connection)
            except Exception:
                self._failed(observer)

    def messageReported(self, connection: Connection, message: bytes) -> None:
        """Tell a message that a behaviour reported."""
        for observer, hook in self._hooks["messageReported"]:
            try:
                hook(connection, message)
            except Exception:
                self._failed(observer)

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        """Tell that a connection is over."""
        for observer, hook in self._hooks["connectionClosed"]:
            try:
                hook(connection, ending)
            except Exception:
                self._failed(observer)

    def faultHit(self, connection: Connection | None, text: str) -> None:
        """Tell that a fault hit a connection, or a listener."""
        for observer, hook in self._hooks["faultHit"]:
            try:
                hook(connection, text)
            except Exception:
                self._failed(observer)

    def _failed(self, observer: object) -> None:
        log.failure("{observer} failed and is told nothing more", observer=observer)
        self._drop(observer)
