"""The connections of a service: those that are open, and how the last ones ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tcplab.listener.events import Connection, Ending
from tcplab.listener.listener import Listener
from tcplab.observers import Observers

#: So many endings are kept, of some 700 bytes each: a test suite's, not a day's.
MAX_RECORDS = 1000


class ConnectionRecord(NamedTuple):
    """
    A connection that is known.

    :ivar ending: how it ended; ``None``: it is open.
    """

    connection: Connection
    ending: Ending | None


class Connections:
    """
    What is known of the connections of some listeners; iterated over, those that ended come first.

    Those that are open the listeners know anyway. Endings are kept from the moment that this is
    made, as one more observer: before that nothing is done for anybody's connection.

    :param listeners: whose connections.
    :param most: so many endings are kept, the last ones.
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
        """Return those that are open, in a handshake too, by listener and number."""
        return tuple(
            ConnectionRecord(connection, None)
            for listener in self._listeners
            for connection in sorted(each.connection for each in listener.connections)
        )

    def ended(self) -> tuple[ConnectionRecord, ...]:
        """Return the last ones that ended, in the order in which they did."""
        return tuple(self._ended)

    def __iter__(self) -> Iterator[ConnectionRecord]:
        return iter(self.ended() + self.live())

    def __len__(self) -> int:
        return len(self._ended) + sum(len(each.connections) for each in self._listeners)
