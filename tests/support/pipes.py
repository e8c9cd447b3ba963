"""A stdin and a stdout for calls within a test: pipes that the test holds the other ends of."""

from __future__ import annotations

import os
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase


class Pipes:
    """
    Two pipes.

    :ivar stdin: the end that is read by what is tested.
    :ivar stdout: the end that it writes.
    :ivar keyboard: what is written here is typed.
    :ivar screen: what was printed can be read here.
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
        """Read all that was printed; the end is that of the last writer."""
        return deferToThread(_readAll, self.screen)

    def type(self, data: bytes) -> Deferred[None]:
        """Type, and end the input."""
        return deferToThread(_writeAll, data, self)


def _readAll(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 65536), b""))


def _writeAll(data: bytes, pipes: Pipes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipes.keyboard, view) :]
    pipes.close("keyboard")
