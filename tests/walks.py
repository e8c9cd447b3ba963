"""
Walks: how many calls of code under ``tcplab/`` lead from one event to the next.

A walk is what ``sys.setprofile`` sees of it: calls and resumed generators, in the thread of the
reactor. Code outside of ``tcplab/`` is not counted, and no look at the reactor's clock. The lab is
live, on a loopback port of its own, made by twistd's plugin with all defaults; it serves ``echo``
and runs in this process.

A walk begins with the poll that finds the event and ends with the next idle poll, which is counted
too. Idle polls in a row count as one, since their number depends on the machine. Its connection is
the first one of its lab, and its first line in the log is the first one of a second. Each of these
adds calls that a later one saves.

- ``accept``: from the connection in the backlog until it is ready.
- ``faulty accept``: the same with the fault ``reset_peer,after=10B,conn=1``.
- ``faulty byte``: from a byte before that fault until its echo has left and the lab is idle.
- ``faulty reset``: from the tenth byte until the peer is reset and the end is in the log.
- ``header``: from a PROXY header (version 1) on an accepted socket until the connection is ready.
- ``option``: the words ``--port 0 -b echo --idle-timeout 60``, from twistd's parser to settings.

Each runs in a process of its own, ``python -m tests.walks NAME``, which prints the counts as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.scripts.twistd import ServerOptions

from tcplab.tap import Options, makeService

CODE = str(Path(__file__).resolve().parent.parent / "tcplab") + os.sep

#: What Twisted calls the method in which a reactor waits for its sockets.
POLL = "doPoll"

#: What it calls the method that returns the time.
CLOCK = "seconds"

#: Seconds after which a walk has failed.
LIMIT = 20.0

#: Of the log: it counts its lines by the second.
SECOND = 1.05

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\n"


class Trace:
    """The names of the functions under ``tcplab/`` that are called within ``with``, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __enter__(self) -> Trace:
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(CODE) and code.co_name != CLOCK:
            self.names.append(code.co_name)


def counted(names: Iterable[str]) -> int:
    """Count calls; polls in a row are one."""
    return sum(1 if name == POLL else len(list(run)) for name, run in groupby(names))


class Lab:
    """A lab in this process; the walks turn its reactor."""

    def __init__(self, *words: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            ports = Path(folder) / "ports"
            options = Options()
            options.parseOptions(["--port", "0", "-b", "echo", "--port-file", str(ports), *words])
            service: Any = makeService(options)
            from twisted.internet import reactor

            self._reactor: Any = reactor
            service.privilegedStartService()
            service.startService()
            self._reactor.startRunning(installSignalHandlers=False)
            self.turnUntil(ports.exists)
            self.port = int(ports.read_text().split()[2])

    def turnUntil(self, done: Callable[[], bool]) -> None:
        """Turn the reactor at least once, until that is true."""
        end = time.monotonic() + LIMIT
        self._reactor.iterate(0.01)
        while not done():
            if time.monotonic() > end:
                raise TimeoutError("a walk has not come to its end")
            self._reactor.iterate(0.01)

    def walk(self, begin: Callable[[], object], arrived: Callable[[], bool] = lambda: True) -> int:
        """
        Count the calls that an event leads to.

        :param begin: causes the event.
        :param arrived: whether the peer has seen the walk's result; asked when the lab is idle.
        """
        trace = Trace()
        seen = 0

        def done() -> bool:
            nonlocal seen
            new, seen = trace.names[seen:], len(trace.names)
            return set(trace.names) > {POLL} and set(new) <= {POLL} and arrived()

        begin()
        with trace:
            self.turnUntil(done)
        return counted(trace.names)

    def letSecondPass(self) -> None:
        """Turn until the log is in another second."""
        end = time.monotonic() + SECOND
        self.turnUntil(lambda: time.monotonic() > end)


class Peer:
    """A client of the lab that never blocks."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._socket = socket.socket()

    def connect(self) -> None:
        self._socket.connect(("127.0.0.1", self._lab.port))
        self._socket.setblocking(False)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hasEcho(self) -> bool:
        """Tell whether bytes have arrived, and take them."""
        try:
            return bool(self._socket.recv(4096))
        except BlockingIOError:
            return False

    def isReset(self) -> bool:
        """Tell whether the connection is reset."""
        try:
            self.hasEcho()
        except ConnectionResetError:
            return True
        return False


def accept() -> dict[str, int]:
    lab = Lab()
    return {"accept": lab.walk(Peer(lab).connect)}


def fault() -> dict[str, int]:
    lab = Lab("--fault", "reset_peer,after=10B,conn=1")
    peer = Peer(lab)
    counts = {"faulty accept": lab.walk(peer.connect)}
    for _ in range(9):
        counts["faulty byte"] = lab.walk(lambda: peer.send(b"."), peer.hasEcho)
    lab.letSecondPass()
    counts["faulty reset"] = lab.walk(lambda: peer.send(b"."), peer.isReset)
    return counts


def header() -> dict[str, int]:
    lab = Lab("--proxy-protocol", "any", "--proxy-from", "127.0.0.1")
    peer = Peer(lab)
    lab.walk(peer.connect)
    return {"header": lab.walk(lambda: peer.send(HEADER))}


def option() -> dict[str, int]:
    words = ["-n", "tcplab", "--port", "0", "-b", "echo", "--idle-timeout", "60"]
    ServerOptions().parseOptions(words)  # what is imported and installed on the way
    with Trace() as trace:
        ServerOptions().parseOptions(words)
    return {"option": counted(trace.names)}


WALKS = {each.__name__: each for each in (accept, fault, header, option)}

if __name__ == "__main__":
    print(json.dumps(WALKS[sys.argv[1]]()))
