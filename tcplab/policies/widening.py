"""Room for acknowledgements: two kernels that are both full must still hear of each other."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

#: Bytes by which the buffer may grow, and how large it may be then; the kernel doubles both. It
#: offers a window again where there is room for a segment, which may be 64 KiB on loopback.
_MORE, _MOST = 128 * 1024, 512 * 1024

#: Where struct tcp_info says how often in a row the same was sent again, or a closed window was
#: probed, and nothing came back. Whoever only does not read answers, as long as it lives.
_UNHEARD = slice(2, 4)


def widen(transport: Any) -> bool:
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
