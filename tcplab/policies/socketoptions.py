"""Socket options: detect a dead peer, bound the kernel's memory, enlarge a receive buffer."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios

from twisted.internet import tcp, unix

from tcplab.listener.acceptor import acceptorOf
from tcplab.reactor.stack import socketTransport

#: Bytes by which a receive buffer grows, and its size at most; the kernel doubles both. It offers a
#: window again once there is room for a segment, which may be 64 KiB on loopback.
_STEP, _MAX_SIZE = 128 * 1024, 512 * 1024

#: Where struct tcp_info counts retransmissions and window probes in a row without any answer. A
#: live peer that only does not read answers them.
_UNANSWERED = slice(2, 4)


def growReceiveBuffer(transport: object) -> bool:
    """
    Enlarge the receive buffer of a connection whose ACKs the kernel drops.

    While an answer waits for the peer nothing more is read. What the peer sends fills the kernel's
    buffer: small segments need far more room than the window promises. The next ones lie beyond the
    window. Since 6.17 Linux drops such a segment with its acknowledgement and its window update. If
    the peer's buffer is full as well, and the peer reads only then, its window update is lost. Both
    sides retransmit without end, and each drops what the other sends. ``BeyondWindow`` in
    ``/proc/net/netstat`` counts them. With a larger buffer the next retransmission is answered with
    a window, and the connection goes on.

    :return: whether it looked like that: nothing is answered, and there are unread bytes.
    """
    bottom = socketTransport(transport)
    sock = None if bottom is None else bottom.socket
    if not isinstance(sock, socket.socket) or sock.family == socket.AF_UNIX:
        return False
    if sys.platform != "linux":
        return False
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNANSWERED.stop)
    if not (any(info[_UNANSWERED]) and _unreadBytes(sock)):
        return False
    size = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if size < _MAX_SIZE:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, min(size + _STEP, _MAX_SIZE))
    return True


def _unreadBytes(sock: socket.socket) -> int:
    buffer = fcntl.ioctl(sock, termios.FIONREAD, b"\0\0\0\0")
    return int(struct.unpack("i", buffer)[0])


# Bytes that have arrived and are unread. The kernel doubles the number, for its own overhead. With
# 128 KiB unsent and a segment of 64 KiB too much in each direction a peer that does not read costs
# 1 MiB. Less costs speed on loopback: 128 KiB, half of it with one connection.
_RECEIVE_BUFFER = 384 * 1024

# Bytes that are not acknowledged, doubled as well: for a peer that acknowledges nothing. (A peer
# that only does not read acknowledges what its window has promised.) With this bound no peer costs
# more than 1.4 MiB, and only until its write deadline. By itself Linux goes up to 4 MiB.
_SEND_BUFFER = 256 * 1024

# Bytes that are not sent yet: as many as a transport writes at once. More would only move from the
# process to the kernel (without a limit: 2.7 MiB on loopback).
_UNSENT = 128 * 1024


def setListenOptions(
    port: object, *, deadPeerTimeout: float = 120.0, write: float | None = 30.0
) -> bool:
    """
    Set options of a listening TCP port, which Linux hands on to the connections it accepts.

    So they cost no call for a connection. They have two effects:

    - A dead peer (its host has crashed, or the network is cut) is detected within
      ``deadPeerTimeout``. Keepalive detects it while nothing is sent. ``TCP_USER_TIMEOUT`` detects
      it while bytes are unacknowledged. Those that the kernel has to send after a close count.
    - A peer that does not read costs 1 MiB of the kernel's memory at most. That is 768 KiB for what
      it sends, and 192 KiB for what is sent to it. Without bounds it was 5 MiB with an echo on
      loopback, and can be what tcp_rmem and tcp_wmem allow. **Limit:** the buffers of the peer's
      own kernel are not bounded. On loopback that is the same kernel, which can hold 4 MiB for it.

    **Limit:** the buffers bound the speed on long paths. At a round trip of 100 ms it was 5 MB/s
    received and 3 MB/s sent, instead of 27. At 10 ms it was 42 and 36, instead of 100 and more.
    Linux grants no more than net.core.rmem_max and wmem_max: with the 208 KiB of older kernels it
    was 2.6 MB/s each way at 100 ms.

    Unix sockets need none of it: the death of a peer is known at once, and net.core.wmem_default
    (208 KiB) bounds each direction.

    :param deadPeerTimeout: seconds, 2 at least. A twelfth of it is a margin for late kernel timers.
    :param write: the write deadline, see `Deadlines`. ``TCP_USER_TIMEOUT`` would also reset a live
        peer that does not read, so it is left out if this deadline is as long, or ``None``. Then a
        peer that dies with bytes unacknowledged is detected when Linux gives up, after a quarter of
        an hour or so.
    :return: whether it is a TCP port.
    :raises ValueError: ``deadPeerTimeout`` is less than 2.
    """
    if deadPeerTimeout < 2:
        raise ValueError(f"deadPeerTimeout must be 2 seconds at least, not {deadPeerTimeout}")
    if not isinstance(port, tcp.Port) or isinstance(port, unix.Port):
        return False
    probes = ProbeTimes(deadPeerTimeout)
    _setOptions(port.socket, {**probes.next(), **_deadPeerOptions(deadPeerTimeout, write)})
    _setOptions(port.socket, _BOUNDS)
    acceptor = acceptorOf(port)
    if acceptor is not None:
        acceptor.onMany = lambda: _setOptions(port.socket, probes.next())
    return True


def _setOptions(sock: socket.socket, options: dict[str, int]) -> None:
    for name, value in options.items():
        option = getattr(socket, name, None)
        if option is not None:  # this system has it
            level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
            sock.setsockopt(level, option, value)


_BOUNDS = {
    "SO_RCVBUF": _RECEIVE_BUFFER,
    "SO_SNDBUF": _SEND_BUFFER,
    "TCP_NOTSENT_LOWAT": _UNSENT,
}


def _deadPeerOptions(timeout: float, write: float | None) -> dict[str, int]:
    options = {"SO_KEEPALIVE": 1}
    interval = max(1, int(timeout / 12))
    if write is not None and write < timeout - interval:
        options["TCP_USER_TIMEOUT"] = int((timeout - interval) * 1000)
    return options


class ProbeTimes:
    """
    When keep-alive probes a silent connection, different for each crowd of connections.

    Linux sends the probes of two seconds at once. On loopback 19,000 of them overflow their queue
    (net.core.netdev_max_backlog, 1,000), time after time. A third of a crowd that connected at the
    same moment was lost. So the first probe follows after a twelfth to seven twelfths of the
    timeout, and others every twenty-fourth to twelfth of it. The last one is due a twelfth before
    its end, for late timers.

    For 120 s: after 10 to 70 s, then every 5 to 10 s. The peer is dead at 110 s.

    :param timeout: seconds until a peer is dead.
    """

    #: Irrational: their multiples, modulo 1, are spread evenly, however many there are.
    _STEPS = 0.6180339887, 0.7548776662

    def __init__(self, timeout: float) -> None:
        self._unit = timeout / 12
        self._count = 0

    def next(self) -> dict[str, int]:
        """Return the options of the next crowd."""
        self._count += 1
        early, often = ((self._count * step) % 1 for step in self._STEPS)
        idle = max(1, int(self._unit * (1 + 6 * early)))
        interval = max(1, round(self._unit * (1 - often / 2)))
        return {
            "TCP_KEEPIDLE": idle,
            "TCP_KEEPALIVE": idle,  # its name on macOS
            "TCP_KEEPINTVL": interval,
            "TCP_KEEPCNT": max(1, int(11 * self._unit - idle) // interval),
        }
