"""What is asked of the kernel for each connection: to notice a dead peer, and to hold little."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp, unix

# Bytes of what has come and is not read. The kernel counts its own overhead too and doubles the
# number for it: 768 KiB. With 128 KiB of what is not sent and a segment of 64 KiB over in either
# direction that is 1 MiB for a peer that does not read. Less costs speed on loopback, where a
# window of 208 KiB lost a third of it.
_RECEIVED = 384 * 1024

# Bytes of what is not acknowledged, doubled as well. A peer that reads nothing acknowledges what it
# was promised to take, and leaves the next number; this is for one that acknowledges nothing. With
# it 1.4 MiB are the most that any peer costs; by itself Linux goes up to 4 MiB (tcp_wmem).
_UNDERWAY = 256 * 1024

# Bytes that are not sent: as much as a transport writes at once. More would only wait here instead
# of there, and cost a stuck reader's share again.
_UNSENT = 128 * 1024


def prepare(port: Any, *, gone: float = 120.0, write: float | None = 30.0) -> bool:
    """
    Set the options of a listening TCP port that Linux hands on to what it accepts from now on.

    So they cost no call for a connection. What they do:

    - A peer that is dead (its host has crashed, the way to it is cut) is gone after ``gone``
      seconds: `keepalive <https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4>`_ finds it if it
      was silent, ``TCP_USER_TIMEOUT`` if it owes an acknowledgement. The latter also holds for what
      the kernel has still to say after a close, of which no program knows any more.
    - A peer that does not read costs 1 MiB of the kernel's memory at most, of the 10 MiB that it
      can have by itself: 768 KiB of its own data and up to 192 KiB of ours. (Its own kernel has a
      part too, which is not ours to bound.)

    What that costs on long paths: no more can be on its way than fits in these buffers. At a round
    trip of 100 ms that is 4 MB/s to us and 5 MB/s from us, ten times as much at 10 ms. Linux grants
    no more than net.core.rmem_max and wmem_max: where those are still 208 KiB it is half of that.

    Unix sockets need none of it: a peer's death is known at once, and each direction is bound by
    net.core.wmem_default (208 KiB).

    :param gone: seconds, 2 at least. The kernel's timers are late by a twentieth; that is within.
    :param write: the deadline for a peer that takes nothing, see `Deadlines`. ``TCP_USER_TIMEOUT``
        would reset a peer that lives and does not read as well: it is left out if this deadline is
        longer, or ``None``.
    :return: whether it was a TCP port.
    :raises ValueError: ``gone`` is less than 2.
    """
    if gone < 2:
        raise ValueError(f"gone must be 2 seconds at least, not {gone}")
    if not isinstance(port, tcp.Port) or isinstance(port, unix.Port):
        return False
    for name, value in {**_noticing(gone, write), **_BOUNDS}.items():
        option = getattr(socket, name, None)
        if option is not None:  # this system has it
            level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
            port.socket.setsockopt(level, option, value)
    return True


_BOUNDS = {"SO_RCVBUF": _RECEIVED, "SO_SNDBUF": _UNDERWAY, "TCP_NOTSENT_LOWAT": _UNSENT}


def _noticing(gone: float, write: float | None) -> dict[str, int]:
    """
    Ask after half the time, then every twelfth of it, and leave one twelfth for late timers.

    For 120 s that is after 60 s, then every 10 s, for the fifth time at 100 s; at 110 s it is over.
    """
    interval = max(1, int(gone / 12))
    idle = max(1, int(gone / 2))
    options = {
        "SO_KEEPALIVE": 1,
        "TCP_KEEPIDLE": idle,
        "TCP_KEEPINTVL": interval,
        "TCP_KEEPCNT": max(1, int(gone - idle) // interval - 1),
    }
    if write is not None and write < gone:
        options["TCP_USER_TIMEOUT"] = int((gone - interval) * 1000)
    return options
