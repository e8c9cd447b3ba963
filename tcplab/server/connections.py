"""The connections of a service: the open ones, and how the last ones ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.observers import Observers

#: Endings that are kept, of some 700 bytes each: enough for a test suite.
MAX_RECORDS = 1000


class ConnectionRecord(NamedTuple):
    """
    A connection and its ending.

    :ivar ending: how it ended; ``None`` while it is open.
    """

    connection: Connection
    ending: Ending | None


class Connections:
    """
    The connections of some listeners; iteration yields those that ended first.

    The listeners know their open connections anyway. Endings are kept from the creation of this
    object on, by one more observer; before that a connection costs nothing.

    :param listeners: they accept the connections.
    :param most: how many endings are kept, the last ones.
    """

    def __init__(self, listeners: Sequence[Listener], most: int = MAX_RECORDS) -> None:
        self._listeners = listeners
        self._ended: deque[ConnectionRecord] = deque(maxlen=most)
        for listener in listeners:
            listener.observers = Observers(listener.observers, self)

    def connectionClosed(self, connection: Connection, ending: Ending) -> None:
        """Keep how it ended."""
        self._ended.append(ConnectionRecord(connection, ending))

    def live(self) -> tuple[ConnectionRecord, ...]:
        """Return the open connections, handshakes included, by listener and number."""
        return tuple(
            ConnectionRecord(connection, None)
            for listener in self._listeners
            for connection in sorted(each.connection for each in listener.connections)
        )

    def ended(self) -> tuple[ConnectionRecord, ...]:
        """Return the last connections that ended, in the order of their ends."""
        return tuple(self._ended)

    def __iter__(self) -> Iterator[ConnectionRecord]:
        return iter(self.ended() + self.live())

    def __len__(self) -> int:
        return len(self._ended) + sum(len(each.connections) for each in self._listeners)
