"""What the kernel tells of a process and of its connections: parsed texts of /proc and of ss."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: include/net/tcp_states.h: no process owns a socket in these, or it is no connection.
_OWNERLESS = frozenset({3, 6, 10, 12})  # SYN_RECV, TIME_WAIT, LISTEN, NEW_SYN_RECV


@dataclass(frozen=True)
class Connection:
    """A TCP connection: the local port, and the kernel's number for its state."""

    port: int
    state: int


def connections(table: str) -> Iterator[Connection]:
    """
    Read ``/proc/net/tcp`` or ``/proc/net/tcp6``.

    Left out is what has no owner: those that listen, that wait for late segments, and that have not
    finished TCP's own handshake.
    """
    for line in table.splitlines()[1:]:
        fields = line.split()
        state = int(fields[3], 16)
        if state not in _OWNERLESS:
            yield Connection(int(fields[1].rpartition(":")[2], 16), state)


def connectionsOf(pid: int, ports: set[int]) -> int:
    """Count the connections to some ports, in the network that a process is in."""
    net = Path(f"/proc/{pid}/net")
    tables = [(net / name).read_text() for name in ("tcp", "tcp6") if (net / name).exists()]
    return sum(each.port in ports for table in tables for each in connections(table))


def descriptorsOf(pid: int) -> int:
    """Count the open files of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def threadsOf(pid: int) -> int:
    """Count the threads of a process."""
    return len(os.listdir(f"/proc/{pid}/task"))


def kernelMemory(listing: str) -> list[int]:
    """
    Read ``ss -tmn``: the bytes that the kernel holds for each connection.

    What was received (``r``) and what was written (``w``), with the kernel's own cost of both, and
    what it has set aside (``f``). See ss(8), ``--memory``.
    """
    found = []
    for memory in re.findall(r"skmem:\((.*?)\)", listing):
        parts = dict(re.findall(r"([a-z]+)(-?\d+)", memory))
        found.append(sum(max(0, int(parts[each])) for each in ("r", "w", "f")))
    return found


def counter(pid: int, name: str) -> int:
    """Return a counter of ``/proc/net/netstat``, of the network that a process is in."""
    return counted(Path(f"/proc/{pid}/net/netstat").read_text(), name)


def counted(table: str, name: str) -> int:
    """
    Read a counter: lines come in pairs, names and then numbers.

    :raises KeyError: there is none of that name.
    """
    lines = [line.split()[1:] for line in table.splitlines()]
    for names, numbers in zip(lines[::2], lines[1::2], strict=True):
        if name in names:
            return int(numbers[names.index(name)])
    raise KeyError(name)
