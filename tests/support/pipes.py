"""A stdin and a stdout for sessions of the client within a test: pipes with both ends here."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tcplab.client.commandline import parseOptions
from tcplab.client.connect import connect
from tcplab.client.result import Result

net: Any = reactor


class Pipes:
    """
    Two pipes.

    :ivar stdin: the end that the client reads.
    :ivar stdout: the end that the client writes.
    :ivar keyboard: the other end of ``stdin``.
    :ivar screen: the other end of ``stdout``.
    """

    def __init__(self, test: TestCase) -> None:
        self.stdin, self.keyboard = os.pipe()
        self.screen, self.stdout = os.pipe()
        test.addCleanup(self.close, "stdin", "keyboard", "screen", "stdout")

    def close(self, *names: str) -> None:
        """Close some ends, unless they are closed."""
        for name in names:
            descriptor, _ = getattr(self, name), setattr(self, name, -1)
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)

    def printed(self) -> Deferred[bytes]:
        """Read all output, up to the end of the last writer."""
        return deferToThread(_readAll, self.screen)

    def type(self, data: bytes) -> Deferred[None]:
        """Write input, and end it."""
        return deferToThread(_writeAll, data, self)


def _readAll(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 65536), b""))


def _writeAll(data: bytes, pipes: Pipes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipes.keyboard, view) :]
    pipes.close("keyboard")


async def session(test: TestCase, *arguments: str, send: bytes = b"") -> tuple[Result, bytes]:
    """Hold the session of a command line; return its result and what it printed."""
    pipes = Pipes(test)
    printed = pipes.printed()
    typed = pipes.type(send)
    try:
        options = parseOptions(list(arguments))
        result = await connect(net, options, stdin=pipes.stdin, stdout=pipes.stdout)
    finally:
        pipes.close("stdout", "stdin")
    await typed
    return result, await printed
