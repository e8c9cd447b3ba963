"""The policies of a listener: asked about each connection, and told what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

log = Logger("tcplab.reactor.guards")

_Hooks = list[tuple[object, Callable[[Any], Any]]]


class Guards(list[object]):
    """
    The guards of a listener, see `tcplab.listener.listener.Listener.guard`.

    What each wants to be told is looked up once a change, not for every connection.

    :ivar admitting: who is asked whether somebody may come in.
    :ivar accepting: who is told of a transport, also of one that is in a handshake.
    :ivar opening: who is told that a peer is here.
    :ivar leaving: who is told that a transport is gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookUp()

    def append(self, guard: object) -> None:
        """Ask and tell this one too, from now on."""
        super().append(guard)
        self._lookUp()

    def remove(self, guard: object) -> None:
        """
        Ask and tell this one no more.

        :raises ValueError: it is none of them.
        """
        super().remove(guard)
        self._lookUp()

    def _lookUp(self) -> None:
        self.admitting = self.hooks("admit")
        self.accepting = self.hooks("connectionAccepted")
        self.opening = self.hooks("connectionOpened")
        self.leaving = self.hooks("connectionGone")

    def hooks(self, name: str) -> _Hooks:
        """Return the guards that have a method of this name, and the method of each."""
        found = [(guard, getattr(guard, name, None)) for guard in self]
        return [(guard, hook) for guard, hook in found if hook is not None]


def tell(hooks: _Hooks, about: Any) -> None:
    """Tell each guard; a bug of one, like an observer's, is nobody's fault who connects."""
    for guard, hear in hooks:
        try:
            hear(about)
        except Exception:
            log.failure("{guard} failed", guard=guard)


def goodbye(hooks: _Hooks, address: Any) -> bytes | None:
    """Ask each guard; return the goodbye for whom one refuses, ``None`` for who may come in."""
    for guard, admit in hooks:
        try:
            words: bytes | None = admit(address)
        except Exception:
            log.failure("{guard} failed", guard=guard)
        else:
            if words is not None:
                return words
    return None


class Timed:
    """What keeps time, but must not choose the reactor when it is made."""

    _clock: Any = None

    def _time(self) -> Any:
        if self._clock is None:
            from twisted.internet import reactor

            self._clock = reactor
        return self._clock
