"""Blocking clients on TLS, whose close_notify is a half-close."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from OpenSSL import SSL

from soak.talk import PATIENCE, Address, connected


def trusting() -> SSL.Context:
    """Make a context that trusts any certificate: the lab's was made a second ago."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    return context


@contextmanager
def secured(context: SSL.Context, address: Address, name: bytes = b"") -> Iterator[SSL.Connection]:
    """
    Connect, and finish the handshake.

    :param name: the name to ask for (SNI).
    """
    sock = connected(address)
    sock.settimeout(None)  # pyOpenSSL does not know of it; the kernel's own will do
    _kernelTimeout(sock)
    try:
        tls = SSL.Connection(context, sock)
        tls.set_connect_state()
        if name:
            tls.set_tlsext_host_name(name)
        tls.do_handshake()
        yield tls
    finally:
        sock.close()


def _kernelTimeout(sock: socket.socket) -> None:
    interval = int(PATIENCE).to_bytes(8, "little") + bytes(8)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)


def exchange(tls: SSL.Connection, data: bytes) -> bytes:
    """
    Say all, close_notify at once, and read to the server's own.

    :raises OpenSSL.SSL.Error: the connection breaks, or ends without it.
    """
    tls.sendall(data)
    tls.shutdown()
    pieces: list[bytes] = []
    while True:
        try:
            pieces.append(tls.recv(65536))
        except SSL.ZeroReturnError:
            return b"".join(pieces)
