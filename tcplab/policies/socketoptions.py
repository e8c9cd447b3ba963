"""Socket options: notice a dead peer, hold little, enlarge a receive buffer."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

from twisted.internet import tcp, unix

#: Bytes by which the buffer may grow, and how large it may be then; the kernel doubles both. It
#: offers a window again where there is room for a segment, which may be 64 KiB on loopback.
_MORE, _MOST = 128 * 1024, 512 * 1024

#: Where struct tcp_info says how often in a row the same was sent again, or a closed window was
#: probed, and nothing came back. Whoever only does not read answers, as long as it lives.
_UNHEARD = slice(2, 4)


def growReceiveBuffer(transport: Any) -> bool:
    """
    Let the kernel take a little more from a peer whose acknowledgements it may be throwing away.

    While an answer waits for the peer nothing more is read, so that what it says fills our kernel's
    buffer: small segments need far more room than the window promises. What comes then lies beyond
    the window, and since 6.17 Linux drops such a segment with all that it says, its acknowledgement
    and its own window too. If the peer's buffer is full as well, and it reads only then, we never
    learn of it: either side sends the same again and again, the other drops that, and both wait for
    ever. (``BeyondWindow`` in ``/proc/net/netstat`` counts them.) With a larger buffer the next
    answer to what the peer tries again has a window, and all goes on.

    :return: whether it looked like that: nothing comes back, and something is not read.
    """
    sock = getattr(transport, "socket", None)
    if not isinstance(sock, socket.socket) or sock.family == socket.AF_UNIX:
        return False
    info: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNHEARD.stop)
    if not (any(info[_UNHEARD]) and _unread(sock)):
        return False
    size = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if size < _MOST:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, min(size + _MORE, _MOST))
    return True


def _unread(sock: socket.socket) -> int:
    buffer = fcntl.ioctl(sock, termios.FIONREAD, b"\0\0\0\0")
    return int(struct.unpack("i", buffer)[0])


# Bytes that have come and are not read. The kernel doubles the number, for its own overhead: with
# 128 KiB that are not sent and a segment of 64 KiB too much in each direction it is 1 MiB for a
# peer that does not read. Less costs speed on loopback: 128 KiB, half of it with one connection.
_RECEIVED = 384 * 1024

# Bytes that are not acknowledged, doubled as well. This is for a peer that acknowledges nothing;
# who only does not read acknowledges all that he was ready to take. With it no peer costs more than
# 1.4 MiB, and that only until its deadline for reading; by itself Linux goes up to 4 MiB.
_UNDERWAY = 256 * 1024

# Bytes that are not sent yet: as much as a transport writes at once. More would wait here and not
# there, and be what a peer costs that does not read (without a limit: 2.7 MiB on loopback).
_UNSENT = 128 * 1024


def setListenOptions(port: Any, *, gone: float = 120.0, write: float | None = 30.0) -> bool:
    """
    Set the options of a listening TCP port that Linux hands on to what it accepts from now on.

    So they cost no call for a connection. What they do:

    - A peer that is dead (its host has crashed, or the way to it is cut) is gone after ``gone``
      seconds. Keepalive finds it if it was silent, ``TCP_USER_TIMEOUT`` if it owes us an
      acknowledgement, of what the kernel still has to send after a close too, when no program
      looks after it any more.
    - A peer that does not read costs 1 MiB of the kernel's memory at most: 768 KiB for what it
      sends, 192 KiB for what we send. Without bounds it was 5 MiB with an echo on loopback, and can
      be what tcp_rmem and tcp_wmem allow. (What its own kernel holds is not ours to bound; on
      loopback that is the same kernel, and an echo's peer can leave 4 MiB there.)

    What that costs is speed on long paths: no more is under way than these buffers hold. At a round
    trip of 100 ms that was 5 MB/s to us and 3 MB/s from us, instead of 27; at 10 ms 42 and 36,
    instead of 100 and more. Linux grants no more than net.core.rmem_max and wmem_max; where those
    are the 208 KiB of older kernels, it was 2.6 MB/s each way at 100 ms.

    Unix sockets need none of it: a peer's death is known at once, and either direction is bound by
    net.core.wmem_default (208 KiB).

    :param gone: seconds, 2 at least. A twelfth of it is left for the kernel's timers to be late.
    :param write: the deadline for a peer that takes nothing, see `Deadlines`. To a peer that lives
        and does not read ``TCP_USER_TIMEOUT`` would put an end too, so it is left out if this
        deadline is as long, or ``None``: who dies then and owes us something is gone when Linux
        has tried for long enough, a quarter of an hour or so.
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
    if write is not None and write < gone - interval:
        options["TCP_USER_TIMEOUT"] = int((gone - interval) * 1000)
    return options
