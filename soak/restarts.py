"""Case 34: rolling restarts under load, of workers, and from one lab to the next."""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from soak import kernel, talk
from soak.case import PORT, Case
from soak.figures import Figure, atLeast, none
from soak.lab import TWISTD, Lab, Start, Trouble, serving
from soak.scale import Amount
from soak.workers import WORKERS, ready, until

#: Processes that connect, and what they do in a second at least, on a machine that does much else.
_CLIENTS, _RATE = 2, 2000
_SAYS = b"are you the old one, or the new one?"
#: Seconds for an answer. A longer wait counts as a loss.
_PATIENCE = 10.0
#: As systemd does it.
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Restarts(Case):
    """Twenty restarts, and no client is refused or loses a byte."""

    number = 34
    title = "rolling restart"
    times = Amount(2, 20, 20)
    connects = Amount(2000, 100_000, 100_000)

    def run(self) -> None:
        """Restart workers by SIGHUP, and then one lab by another."""
        times, connects = self.amount(self.times), self.amount(self.connects)
        with self.serving(*PORT, *WORKERS, "--behaviour", "echo", warm=ready) as lab:
            figures = self._during(lab.ports["echo"], connects, times, lambda: _hangUp(lab))
            ready(lab)
        self.tell(f"SIGHUP, {times} times, under as many connects as two clients can", *figures)
        self._handedOn(times, connects)

    def _handedOn(self, times: int, connects: int) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as port, ExitStack() as stack:
            labs = [stack.enter_context(serving(_adopting(port), self.scratch))]

            def next_() -> None:
                labs.append(stack.enter_context(serving(_adopting(port), self.scratch)))
                if labs[-2].stop():
                    raise Trouble("a connection had to be aborted")

            figures = self._during(port.getsockname(), connects, times, next_)
            labs[-1].stop()
            accidents = sum(len(each.accidents) for each in labs)
        self.tell(
            f"from one lab to the next, by LISTEN_FDS and SIGTERM, {times} times",
            *figures,
            none("tracebacks in their logs", accidents),
        )

    def _during(
        self, address: talk.Address, connects: int, times: int, restart: Callable[[], None]
    ) -> list[Figure]:
        with ExitStack() as stack:
            clients = [stack.enter_context(_Client(address)) for _ in range(_CLIENTS)]
            begun = time.monotonic()
            for _ in range(times):
                restart()
                time.sleep(connects / times / _RATE)
            lasted = time.monotonic() - begun
            seen = [client.seen() for client in clients]
        done = sum(found["done"] for found in seen)
        return [
            none("connects that fail", sum(found["failed"] for found in seen)),
            none("answers that are wrong", sum(found["wrong"] for found in seen)),
            atLeast("connects", done, connects),
            atLeast("connects a second", done / lasted, 500),
        ]


def _hangUp(lab: Lab) -> None:
    said = "every worker is a new one"
    before = lab.log.count(said)
    lab.signal(signal.SIGHUP)
    if until(lambda: lab.log.count(said) > before, 30.0) == float("inf"):
        raise Trouble("it is not restarted")


def _adopting(port: socket.socket) -> Start:
    return Start(
        ("--port", "0", "--behaviour", "echo"),
        twistd=(sys.executable, "-c", _HAND_OVER, str(port.fileno()), TWISTD, "-n"),
        descriptors=(port.fileno(),),
    )


class _Client:
    """A process that connects, asks, reads the answer and closes, one after the other."""

    def __init__(self, address: talk.Address) -> None:
        self._words = [sys.executable, "-m", "soak.restarts", *map(str, address)]

    def __enter__(self) -> _Client:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._words, stdin=pipe, stdout=pipe, preexec_fn=kernel.dieWithParent
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has begun
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def seen(self) -> dict[str, int]:
        """Have it end, and return what it has seen."""
        out, _ = self._process.communicate(b"\n", timeout=30)
        found: dict[str, int] = json.loads(out)
        return found


def main(host: str, port: str) -> None:
    """Go on until a line comes on stdin, then print what was seen."""
    seen = {"done": 0, "failed": 0, "wrong": 0}
    print("begun", flush=True)
    while seen["done"] % 20 or not select.select([sys.stdin], [], [], 0)[0]:
        seen["done"] += 1
        try:
            with talk.connected((host, int(port)), patience=_PATIENCE) as sock:
                sock.sendall(_SAYS)
                seen["wrong"] += talk.readExactly(sock, len(_SAYS)) != _SAYS
        except OSError:
            seen["failed"] += 1
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
