"""A good client beside bad ones: a process that echoes and connects, and keeps the times."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from benchmarks.machine import allowFiles
from soak import kernel
from soak.figures import percentile
from soak.talk import Address, connected, readExactly

#: Seconds between two things that it does: a hundred a second are no load of their own.
_PAUSE = 0.01
#: Seconds after which it is no good: what it does takes a thousandth of that.
_PATIENCE = 5.0
_SAYS = b"good day, please"


@dataclass(frozen=True)
class Times:
    """
    What it has seen.

    :ivar echoes: seconds for each answer on the connection that it holds.
    :ivar connects: seconds for each new connection with an answer.
    :ivar failed: how often either went wrong.
    """

    echoes: list[float]
    connects: list[float]
    failed: int

    @property
    def p99(self) -> float:
        """The worse of the two 99th percentiles, in milliseconds."""
        return 1e3 * max(percentile(self.echoes, 99), percentile(self.connects, 99))

    @property
    def longest(self) -> float:
        """The longest of all, in milliseconds."""
        return 1e3 * max(*self.echoes, *self.connects, 0.0)

    @property
    def tries(self) -> int:
        """How much it has done."""
        return len(self.echoes) + len(self.connects) + self.failed


class GoodClient:
    """
    One that runs; it does not outlive the ``with``.

    :param address: of an echo server.
    :param source: the address it comes from.
    :param enter: called in the new process, as `soak.lab.Start` has it.
    :param preface: what it says first on each connection, without an answer.
    """

    def __init__(
        self,
        address: Address,
        source: str = "",
        enter: Callable[[], None] | None = None,
        preface: str = "",
    ) -> None:
        words = (*map(str, address), source, preface)
        self._words = [sys.executable, "-m", "soak.goodclient", *words]
        self._enter = enter

    def __enter__(self) -> GoodClient:
        def enter() -> None:
            kernel.dieWithParent()
            if self._enter is not None:
                self._enter()

        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._words, stdin=pipe, stdout=pipe, preexec_fn=enter)
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has begun
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def times(self) -> Times:
        """Have it end, and return what it has seen."""
        out, _ = self._process.communicate(b"\n", timeout=30)
        return Times(**json.loads(out))


class _Good:
    def __init__(self, address: Address, source: str, preface: bytes) -> None:
        self._address, self._source, self._preface = address, source, preface
        self._held: socket.socket | None = None
        self.echoes: list[float] = []
        self.connects: list[float] = []
        self.failed = 0

    def echo(self) -> None:
        """Ask on the connection that is held, which is made anew if it was lost."""
        begun = time.monotonic()
        try:
            if self._held is None:
                self._held = self._connected()
            self._ask(self._held)
            self.echoes.append(time.monotonic() - begun)
        except OSError:
            self.failed += 1
            if self._held is not None:
                self._held.close()
            self._held = None

    def connect(self) -> None:
        """Ask on a new connection."""
        begun = time.monotonic()
        try:
            with self._connected() as sock:
                self._ask(sock)
            self.connects.append(time.monotonic() - begun)
        except OSError:
            self.failed += 1

    def _connected(self) -> socket.socket:
        sock = connected(self._address, self._source, _PATIENCE)
        sock.sendall(self._preface)
        return sock

    def _ask(self, sock: socket.socket) -> None:
        sock.sendall(_SAYS)
        if readExactly(sock, len(_SAYS)) != _SAYS:
            raise ConnectionError("the answer is wrong, or there is none")


def main(host: str, port: str, source: str, preface: str) -> None:
    """Go on until a line comes on stdin, then print what was seen."""
    allowFiles()
    good = _Good((host, int(port)), source, preface.encode())
    good.echo()
    print("begun", flush=True)
    while not select.select([sys.stdin], [], [], _PAUSE)[0]:
        good.echo()
        good.connect()
    seen = {"echoes": good.echoes, "connects": good.connects, "failed": good.failed}
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
