"""One connection, its end, and each event that an observer receives of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address

from tcplab.listener.events import Connection, Ending

CONNECTION = Connection(
    listener="ack",
    number=1,
    prefix="ack,1,127.0.0.1",
    peer=IPv4Address("TCP", "127.0.0.1", 36702),
    host=IPv4Address("TCP", "127.0.0.1", 50544),
)
ENDING = Ending("peer", "fin", None, None, 2, 18, 0.0123)

#: The arguments of each hook of an observer, by its name.
EVENTS: dict[str, tuple[Any, ...]] = {
    "connectionOpened": (CONNECTION,),
    "messageReported": (CONNECTION, b"hi"),
    "faultHit": (CONNECTION, "stall at=2"),
    "connectionClosed": (CONNECTION, ENDING),
}
