"""The place between a transport and its protocol, for somebody who stands there unseen."""

from __future__ import annotations

from typing import Any


class Place:
    """
    Stand where a transport looks for its protocol.

    :param transport: the transport; a wrapper, as TLS is one, has its protocol under another name.
    :param occupant: who stands there; it has the protocol as ``wrappedProtocol``.
    """

    def __init__(self, transport: Any, occupant: Any) -> None:
        self._occupant = occupant
        self._owner = transport
        self._name = "wrappedProtocol" if hasattr(transport, "wrappedProtocol") else "protocol"
        occupant.wrappedProtocol = self._there
        self._put(occupant)

    @property
    def _there(self) -> Any:
        return getattr(self._owner, self._name, None)

    def _put(self, protocol: Any) -> None:
        setattr(self._owner, self._name, protocol)

    def keep(self) -> None:
        """Stay: who has set ``transport.protocol`` meanwhile means the protocol."""
        there = above = self._there
        if there is None or there is self._occupant:
            return
        while above is not None:
            wrapped = getattr(above, "wrappedProtocol", None)
            if wrapped is self._occupant:
                # TLS, of Twisted's own startTLS(), has put itself between the transport and us.
                self._owner, self._name = above, "wrappedProtocol"
                return
            above = wrapped
        self._occupant.wrappedProtocol = there
        self._put(self._occupant)

    def leave(self) -> None:
        """Let the protocol have its place again, unless that is gone."""
        if self._there is self._occupant:
            self._put(self._occupant.wrappedProtocol)
