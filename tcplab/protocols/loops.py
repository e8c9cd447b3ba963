"""Which connection came from which: so that one that leads back to its own beginning is seen."""

from __future__ import annotations

from typing import Any

from tcplab.reactor.stack import socketTransport

#: A connection as both its ends see it: who called, and whom.
FourTuple = tuple[tuple[str, int], tuple[str, int]]


class LoopDetector:
    """
    The connections of this process that others were made for.

    Of two ends of one connection in this process both are known, by the four numbers that tell it
    from all others. So from each that was accepted the way can be followed back, and if it passes
    the same factory twice it goes round in a circle. What can not be seen is a circle that leads
    through another process, through an address that is translated on the way, or through a Unix
    socket.
    """

    def __init__(self) -> None:
        self._accepted: dict[FourTuple, Any] = {}
        self._made: dict[FourTuple, Any] = {}
        self._parents: dict[Any, Any] = {}
        self._ways: dict[Any, list[tuple[dict[FourTuple, Any], FourTuple]]] = {}

    def accepted(self, child: Any) -> Any:
        """
        Take in a conversation that was accepted.

        :return: the one for which it was called, if that closes a circle.
        """
        way = _fourTupleOf(child.transport, accepted=True)
        if way is None:
            return None
        self._keep(self._accepted, way, child)
        return self._joined(self._made.get(way), child)

    def made(self, parent: Any, transport: Any) -> Any:
        """
        Take in a transport that was made for a conversation.

        :return: the conversation at its other end, if that closes a circle.
        """
        way = _fourTupleOf(transport, accepted=False)
        if way is None:
            return None
        self._keep(self._made, way, parent)
        child = self._accepted.get(way)
        return child if self._joined(parent, child) is not None else None

    def forget(self, conversation: Any) -> None:
        """Forget a conversation, and what was made for it."""
        self._parents.pop(conversation, None)
        for ways, way in self._ways.pop(conversation, ()):
            if ways.get(way) is conversation:
                del ways[way]

    def _keep(self, ways: dict[FourTuple, Any], way: FourTuple, conversation: Any) -> None:
        ways[way] = conversation
        self._ways.setdefault(conversation, []).append((ways, way))

    def _joined(self, parent: Any, child: Any) -> Any:
        if parent is None or child is None:
            return None
        self._parents[child] = parent
        return parent if self._circular(child) else None

    def _circular(self, child: Any) -> bool:
        ancestor = self._parents.get(child)
        while ancestor is not None and ancestor.factory is not child.factory:
            ancestor = self._parents.get(ancestor)
        return ancestor is not None and child.factory is not None


def _fourTupleOf(transport: Any, accepted: bool) -> FourTuple | None:
    bottom = socketTransport(transport)
    if bottom is None:
        return None
    try:
        socket = bottom.socket
        peer, own = _place(socket.getpeername()), _place(socket.getsockname())
    except (AttributeError, OSError, TypeError, ValueError):
        return None  # no socket of TCP, or one that is over already
    return (peer, own) if accepted else (own, peer)


def _place(address: Any) -> tuple[str, int]:
    if not isinstance(address, tuple):
        raise TypeError(f"{address!r} is the path of a Unix socket")
    host, port, *_ = address
    return str(host).removeprefix("::ffff:"), int(port)
