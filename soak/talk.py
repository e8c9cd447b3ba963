"""Blocking clients: one exchange after another."""

from __future__ import annotations

import functools
import random
import selectors
import socket
import time

#: Seconds without any progress after which an answer is given up.
PATIENCE = 20.0

Address = tuple[str, int]

#: Of a prime length, so that no piece of it stands twice at a power of two; what is at a position
#: says which position that is.
_PERIOD = 1_000_003
_PATTERN = random.Random(1).randbytes(_PERIOD) * 2


def pattern(position: int, size: int) -> bytes:
    """
    Return the bytes of an endless, position-coded stream.

    :raises ValueError: they are more than one period.
    """
    if size > _PERIOD:
        raise ValueError(f"{size} bytes are more than {_PERIOD}")
    start = position % _PERIOD
    return _PATTERN[start : start + size]


@functools.cache
def stream(size: int) -> bytes:
    """Return the beginning of that stream."""
    return b"".join(pattern(start, min(_PERIOD, size - start)) for start in range(0, size, _PERIOD))


def connected(address: Address, source: str = "", patience: float = PATIENCE) -> socket.socket:
    """Connect a blocking socket, which gives up after a time."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    sock.settimeout(patience)
    if source:
        sock.bind((source, 0))
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def exchange(sock: socket.socket, data: bytes, late: bool = False) -> bytes:
    """
    Say all, half-close at once, and read to the end.

    :param late: begin to read only when nothing more is taken.
    :raises OSError: the connection breaks, or nothing moves any more.
    """
    with sock:
        if len(data) <= 65536 and not late:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            return readAll(sock)
        return _bothWays(sock, data, late)


def _bothWays(sock: socket.socket, data: bytes, late: bool) -> bytes:
    left = memoryview(data)
    heard: list[bytes] = []
    sock.setblocking(False)
    with selectors.DefaultSelector() as ready:
        ready.register(sock, selectors.EVENT_WRITE if late else _BOTH)
        while True:
            events = ready.select(0.2 if late else PATIENCE)
            if not events:
                if not late:
                    raise TimeoutError(f"nothing moves after {len(data) - len(left)} bytes")
                late = False
                ready.modify(sock, _BOTH)
                continue
            if events[0][1] & selectors.EVENT_READ:
                piece = sock.recv(1 << 18)
                if not piece:
                    return b"".join(heard)
                heard.append(piece)
            if events[0][1] & selectors.EVENT_WRITE:
                left = left[sock.send(left[: 1 << 18]) :]
                if not left:
                    sock.shutdown(socket.SHUT_WR)
                    late = False
                    ready.modify(sock, selectors.EVENT_READ)


_BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE


def readAll(sock: socket.socket) -> bytes:
    """Read to the end."""
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def readExactly(sock: socket.socket, size: int) -> bytes:
    """
    Read so many bytes, or less if they end before.

    :raises OSError: the connection breaks, or nothing comes.
    """
    pieces = []
    while size > 0 and (piece := sock.recv(min(size, 1 << 18))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def echoed(address: Address, data: bytes = b"are you there?", source: str = "") -> bool:
    """Tell whether an echo server answers as it should."""
    try:
        return exchange(connected(address, source), data) == data
    except OSError:
        return False


def answering(address: Address, seconds: float, source: str = "") -> float:
    """Return the seconds until an echo server answers; infinite if it does not in time."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            left = max(0.05, seconds - (time.monotonic() - begun))
            if exchange(connected(address, source, left), b"?") == b"?":
                return time.monotonic() - begun
        except OSError:
            pass
        time.sleep(0.005)
    return float("inf")
