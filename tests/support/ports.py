"""Ports for tests that have to name one before anything listens there."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack


def free(count: int = 1) -> int:
    """
    Find so many free ports in a row, of the IPv4 loopback address, and return the first.

    They are none of those that the kernel gives to clients, or to listeners on port 0.

    Limit: another program may take one before the test does; two runs choose at random.
    """
    while True:
        first = random.randrange(10000, 30000)
        with contextlib.suppress(OSError), ExitStack() as stack:
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """Hold a port on which nothing listens, so that the kernel refuses every connection to it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
