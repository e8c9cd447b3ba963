"""A terminal with a person at it: a command runs on a pty, the test types and reads."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tests.support.thread_servers import PATIENCE


class Terminal:
    """
    A command on a terminal.

    :ivar printed: all that the terminal has shown, what was typed included.
    """

    def __init__(self, command: list[str], term: str = "xterm", stdout: Any = None) -> None:
        self._ours, self._theirs = pty.openpty()
        self.printed = b""
        self._process = subprocess.Popen(
            command,
            stdin=self._theirs,
            stdout=self._theirs if stdout is None else stdout,
            stderr=self._theirs,
            env={**os.environ, "TERM": term},
            # The terminal becomes its controlling one: ^C is a signal then.
            preexec_fn=_controlled,
        )

    def type(self, data: bytes) -> None:
        """Press some keys."""
        os.write(self._ours, data)

    def wait(self, text: bytes) -> None:
        """Wait until something is shown."""
        self.waitUntil(lambda: text in self.printed, text)

    def waitUntil(self, seen: Callable[[], bool], what: object) -> None:
        """Wait until what is shown is as it should be."""
        until = time.monotonic() + PATIENCE
        while not seen():
            left = until - time.monotonic()
            if left <= 0 or not self._more(left):
                raise AssertionError(f"{what!r} is not in {self.printed!r}")

    def status(self, typed: bytes = b"") -> int:
        """
        Wait for the end, and return the exit status.

        :param typed: typed each second until then; the first is lost if nothing reads it yet.
        """
        until = time.monotonic() + 2 * PATIENCE
        last = 0.0
        while self._process.poll() is None:
            if (now := time.monotonic()) > until:
                raise AssertionError(f"it does not end: {self.printed!r}")
            if typed and now > last + 1:
                last = now
                self.type(typed)
            self._more(0.05)
        while self._more(0):
            pass
        return self._process.returncode

    @property
    def flags(self) -> int:
        """The flags of the terminal, as the next command finds them."""
        return fcntl.fcntl(self._theirs, fcntl.F_GETFL)

    def close(self) -> None:
        """Make sure that the command does not outlive the test."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)
        os.close(self._ours)
        os.close(self._theirs)

    def _more(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if ready:
            self.printed += os.read(self._ours, 65536)
        return bool(ready)


def _controlled() -> None:
    os.setsid()
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
