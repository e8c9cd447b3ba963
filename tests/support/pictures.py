"""What the pictures of ``docs/howto/cookbook.rst`` show, seen by a plain socket."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from unittest import TestCase

from tests.support.subprocess_server import LIMIT

_LETTERS = b"abcdefghijklmnopqrstuvwxyz"
_ESTABLISHED, _SYN_SENT, _CLOSE_WAIT = 1, 2, 8
_MOMENT = 0.3


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), LIMIT)


def _state(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]


def _probes(sock: socket.socket) -> int:
    """Return how often the kernel has asked, in vain, whether the window is open."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[4]


def _silent(test: TestCase, sock: socket.socket) -> None:
    test.assertEqual(select.select([sock], [], [], _MOMENT)[0], [])
    test.assertEqual(_state(sock), _ESTABLISHED)


def _begun(test: TestCase, sock: socket.socket) -> None:
    """The first ten bytes come, all that ever will."""
    sock.sendall(_LETTERS)
    heard = b""
    while len(heard) < 10:
        heard += sock.recv(100)
    test.assertEqual(heard, _LETTERS[:10])


def _echoed(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        sock.sendall(b"hello\n")
        sock.shutdown(socket.SHUT_WR)
        test.assertEqual(sock.makefile("rb").read(), b"hello\n")


def _resetTwice(test: TestCase, port: int) -> None:
    for _ in range(2):
        # The reset may be here before connect() has returned.
        with test.assertRaises(ConnectionResetError), _connected(port) as sock:
            sock.recv(1)
    _echoed(test, port)


def _canned(test: TestCase, port: int, body: bytes = b"hello") -> None:
    with _connected(port) as sock:
        answer = b""
        while not answer.endswith(b"\r\n\r\n" + body):  # at once: it is asked for below
            piece = sock.recv(100)
            test.assertNotEqual(piece, b"", answer)
            answer += piece
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        test.assertEqual(sock.recv(1), b"")


def _cannedInPart(test: TestCase, port: int) -> None:
    _canned(test, port, b"he")


def _swallowed(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        sock.sendall(_LETTERS)
        _silent(test, sock)


def _drips(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        began = time.monotonic()
        sock.sendall(_LETTERS)
        test.assertEqual([sock.recv(1) for _ in range(3)], [b"a", b"b", b"c"])
        test.assertGreater(time.monotonic() - began, 0.5)


def _resetInTheMiddle(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        _begun(test, sock)
        with test.assertRaises(ConnectionResetError):
            sock.recv(1)
    _echoed(test, port)


def _cutShort(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        _begun(test, sock)
        test.assertEqual(sock.recv(1), b"")
    _echoed(test, port)


def _falling(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        _begun(test, sock)
        _silent(test, sock)
    _echoed(test, port)


def _halfClosed(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        _begun(test, sock)
        test.assertEqual([sock.recv(1), sock.recv(1)], [b"", b""])
        sock.sendall(b"one thing more")
        test.assertEqual(select.select([], [sock], [], LIMIT)[1], [sock])
        test.assertEqual(_state(sock), _CLOSE_WAIT)  # no RST has come


def _late(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        began = time.monotonic()
        sock.sendall(b"hello\n")
        test.assertEqual(sock.recv(100), b"hello\n")
        test.assertGreaterEqual(time.monotonic() - began, 0.2)


def _closedAndOpened(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        sock.setblocking(False)
        left, until = 32_000_000, time.monotonic() + LIMIT
        asked = 0
        while left and time.monotonic() < until:
            try:
                left -= sock.send(bytes(min(left, 65536)))
            except BlockingIOError:
                asked = max(asked, _probes(sock))
                select.select([], [sock], [], 0.1)
        test.assertEqual(left, 0)
        test.assertGreater(asked, 0)


def _refused(test: TestCase, port: int) -> None:
    with test.assertRaises(ConnectionRefusedError):
        _connected(port)
    with socket.socket() as other, test.assertRaises(OSError):
        other.bind(("127.0.0.1", port))  # it is somebody's


def _unanswered(test: TestCase, port: int) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        test.assertEqual(select.select([], [sock], [], _MOMENT)[1], [])
        test.assertEqual(_state(sock), _SYN_SENT)


def _corrupted(test: TestCase, port: int) -> None:
    sent = bytes(1000)
    with _connected(port) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        came = sock.makefile("rb").read()
    test.assertEqual(len(came), len(sent))
    for block in range(0, 1000, 100):
        test.assertEqual(came[block : block + 100].count(0), 99)


def _bodyCut(test: TestCase, port: int) -> None:
    with _connected(port) as sock:
        sock.sendall(b"GET /retry.py HTTP/1.0\r\n\r\n")
        headers, _, body = sock.makefile("rb").read().partition(b"\r\n\r\n")
    test.assertIn(b"Content-Length: 711", headers)
    test.assertEqual(len(body), 100)


#: By the faults of the command, in the order of the page.
PICTURES: dict[str, Callable[[TestCase, int], None]] = {
    "reset_peer,conn=1-2": _resetTwice,
    "": _canned,
    "limit_data,bytes=2B,match=\\r\\n\\r\\n": _cannedInPart,
    "timeout": _swallowed,
    "slicer,average_size=1B,delay=300ms": _drips,
    "reset_peer,after=10B,conn=1": _resetInTheMiddle,
    "limit_data,bytes=10B,conn=1": _cutShort,
    "timeout,after=10B,conn=1": _falling,
    "half_close,after=10B": _halfClosed,
    "latency,latency=200ms": _late,
    "stall,after=1KiB,for=2s": _closedAndOpened,
    "refuse": _refused,
    "hang": _unanswered,
    "corrupt,every=100B": _corrupted,
    "limit_data,bytes=100B,match=\\r\\n\\r\\n": _bodyCut,
}
