"""Servers for tests: one blocking socket, and a thread for each connection."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Queue
from typing import Any
from unittest import TestCase

Handler = Callable[[socket.socket], Any]

PATIENCE = 60  # seconds for what takes well under one
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() resets


class ThreadServer:
    """
    A server that is closed after the test.

    :param tls: the file with the key and the certificate, to speak TLS.
    :ivar port: where it listens.
    """

    def __init__(self, test: TestCase, handle: Handler, *, tls: str | None = None) -> None:
        self._handle, self._tls = handle, tls
        self._outcomes: Queue[Any] = Queue()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._start(self._accept)
        test.addCleanup(self._stop)

    def ended(self) -> Any:
        """Wait for the end of the next connection; return what its handler returned or raised."""
        return self._outcomes.get(timeout=PATIENCE)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed by the test
            while True:
                self._start(self._serve, self._listening.accept()[0])

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        try:
            if self._tls is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self._tls)
                sock = context.wrap_socket(sock, server_side=True)
            with sock:
                outcome = self._handle(sock)
        except OSError as error:  # caused by the peer
            outcome = error
        self._outcomes.put(outcome)

    def _stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:  # grows while the first accepts
            thread.join(PATIENCE)


def serve(test: TestCase, handle: Handler, *, tls: str | None = None) -> str:
    """Serve, and return where."""
    return f"127.0.0.1:{ThreadServer(test, handle, tls=tls).port}"


def untilTheEnd(sock: socket.socket) -> bytes:
    """Read all that comes."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def urgent(sock: socket.socket) -> bytes:
    """Send seven bytes, the fourth as urgent data, finish, and read to the end."""
    with sock:
        sock.sendall(b"abc")
        sock.send(b"X", socket.MSG_OOB)
        sock.sendall(b"def")
        sock.shutdown(socket.SHUT_WR)
        return untilTheEnd(sock)


def echo(sock: socket.socket) -> bytes:
    """Return every byte, then finish."""
    pieces = []
    while data := sock.recv(65536):
        pieces.append(data)
        sock.sendall(data)
    return b"".join(pieces)


def saying(words: bytes) -> Handler:
    """Send something, and finish when the peer has finished."""

    def handle(sock: socket.socket) -> bytes:
        sock.sendall(words)
        return untilTheEnd(sock)

    return handle


def hangingUp(words: bytes) -> Handler:
    """Send something and finish at once."""

    def handle(sock: socket.socket) -> bytes:
        sock.sendall(words)
        sock.shutdown(socket.SHUT_WR)
        return untilTheEnd(sock)

    return handle


def onceRead(words: bytes) -> Handler:
    """Send something, read once and close, as the servers of textbooks."""

    def handle(sock: socket.socket) -> bytes:
        sock.sendall(words)
        return sock.recv(1024)

    return handle


def reset(sock: socket.socket) -> None:
    """Reset the connection once something was received."""
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


silent = saying(b"")
