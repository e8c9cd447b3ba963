"""Small servers of the standard library, in threads: nothing of ours is on their side."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from unittest import TestCase

Handler = Callable[[socket.socket], None]

PATIENCE = 60  # seconds for what takes well under one


def serve(test: TestCase, handle: Handler, *, tls: str | None = None) -> str:
    """
    Handle every connection in a thread; return where.

    :param tls: the file with the key and the certificate, to speak TLS.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):  # closed by the test
            while True:
                sock, _ = listening.accept()
                threads.append(threading.Thread(target=_handled, args=(sock, handle, tls)))
                threads[-1].start()

    def stop() -> None:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(PATIENCE)
        for thread in threads:
            thread.join(PATIENCE)

    accepting = threading.Thread(target=accept)
    accepting.start()
    test.addCleanup(stop)
    return f"127.0.0.1:{listening.getsockname()[1]}"


def _handled(sock: socket.socket, handle: Handler, tls: str | None) -> None:
    sock.settimeout(PATIENCE)
    with suppress(OSError):  # the peer gave up: not the server's failure
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            sock = context.wrap_socket(sock, server_side=True)
        with sock:
            handle(sock)


def untilTheEnd(sock: socket.socket) -> bytes:
    """Read all that comes."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def echo(sock: socket.socket) -> None:
    """Return every byte, then finish."""
    while data := sock.recv(65536):
        sock.sendall(data)


def saying(words: bytes) -> Handler:
    """Say something and finish, when the peer has finished."""

    def handle(sock: socket.socket) -> None:
        sock.sendall(words)
        untilTheEnd(sock)

    return handle


def hangingUp(words: bytes) -> Handler:
    """Say something and finish at once."""

    def handle(sock: socket.socket) -> None:
        sock.sendall(words)
        sock.shutdown(socket.SHUT_WR)
        untilTheEnd(sock)

    return handle


def reset(sock: socket.socket) -> None:
    """Break the connection as soon as something was said."""
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


silent = saying(b"")
