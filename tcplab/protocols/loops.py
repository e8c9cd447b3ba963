"""Loop detection: whether a connection leads, through others, back to where it began."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from tcplab.reactor.stack import socketTransport

#: A connection as both its ends see it: the client's host and port, and the server's.
FourTuple = tuple[tuple[str, int], tuple[str, int]]


class Node(Protocol):
    """What `LoopDetector` uses of a conversation."""

    @property
    def factory(self) -> object: ...
    @property
    def raw(self) -> object: ...


_Node = TypeVar("_Node", bound=Node)


class LoopDetector(Generic[_Node]):
    """
    The connections of this process that were made for other connections of it.

    Both ends of a connection within this process are known by their 4-tuple. So each accepted
    connection can be followed back to the one for which it was made. There is a loop if that way
    passes the same factory twice. **Limit:** a loop through another process, a translated address
    or a Unix socket is not detected.
    """

    def __init__(self) -> None:
        self._accepted: dict[FourTuple, _Node] = {}
        self._connected: dict[FourTuple, _Node] = {}
        self._parents: dict[_Node, _Node] = {}
        self._recorded: dict[_Node, list[tuple[dict[FourTuple, _Node], FourTuple]]] = {}

    def accepted(self, child: _Node) -> _Node | None:
        """
        Record a conversation that was accepted.

        :return: the one that connected to it, if that closes a loop.
        """
        fourTuple = _fourTupleOf(child.raw, accepted=True)
        if fourTuple is None:
            return None
        self._record(self._accepted, fourTuple, child)
        return self._link(self._connected.get(fourTuple), child)

    def connected(self, parent: _Node, transport: object) -> _Node | None:
        """
        Record a transport that was connected for a conversation.

        :return: the conversation at its other end, if that closes a loop.
        """
        fourTuple = _fourTupleOf(transport, accepted=False)
        if fourTuple is None:
            return None
        self._record(self._connected, fourTuple, parent)
        child = self._accepted.get(fourTuple)
        return child if self._link(parent, child) is not None else None

    def forget(self, conversation: _Node) -> None:
        """Forget a conversation, and what was connected for it."""
        self._parents.pop(conversation, None)
        for table, fourTuple in self._recorded.pop(conversation, ()):
            if table.get(fourTuple) is conversation:
                del table[fourTuple]

    def _record(
        self, table: dict[FourTuple, _Node], fourTuple: FourTuple, conversation: _Node
    ) -> None:
        table[fourTuple] = conversation
        self._recorded.setdefault(conversation, []).append((table, fourTuple))

    def _link(self, parent: _Node | None, child: _Node | None) -> _Node | None:
        if parent is None or child is None:
            return None
        self._parents[child] = parent
        return parent if self._closesLoop(child) else None

    def _closesLoop(self, child: _Node) -> bool:
        ancestor = self._parents.get(child)
        while ancestor is not None and ancestor.factory is not child.factory:
            ancestor = self._parents.get(ancestor)
        return ancestor is not None and child.factory is not None


def _fourTupleOf(transport: object, accepted: bool) -> FourTuple | None:
    bottom = socketTransport(transport)
    if bottom is None:
        return None
    try:
        socket = bottom.socket
        peer, host = _hostAndPort(socket.getpeername()), _hostAndPort(socket.getsockname())
    except (AttributeError, OSError, TypeError, ValueError):
        return None  # no TCP socket, or one that is closed already
    return (peer, host) if accepted else (host, peer)


def _hostAndPort(address: object) -> tuple[str, int]:
    if not isinstance(address, tuple):
        raise TypeError(f"{address!r} is the path of a Unix socket")
    host, port, *_ = address
    return str(host).removeprefix("::ffff:"), int(port)
