"""The servers that are measured: how each is started, found and stopped."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.building import HERE

#: What every server says first where a load wants a greeting: the words of ``lab``.
GREETING = "You are connected!"

#: Seconds for a start and for an end; both take well under one.
PATIENCE = 20


class Trouble(Exception):
    """A measurement could not be made; the text says why in one line."""


@dataclass(frozen=True)
class Contender:
    """
    A server.

    :ivar words: makes the command, given whether it is to greet, and a folder for what it writes.
    :ivar portFile: it writes its port to a port file, not to its output.
    """

    key: str
    title: str
    words: Callable[[bool, Path], list[str]]
    portFile: bool = False


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    pid: int
    port: int


def contenders(echo: Path | None, against: Path | None = None) -> list[Contender]:
    """
    Return all that can run here.

    :param echo: the C server's program, if there is one.
    :param against: ``twistd`` of another checkout, whose lab is measured beside this one.
    """
    twistd = Path(sysconfig.get_path("scripts")) / "twistd"
    every = [
        Contender("lab", "tcplab", _lab(twistd), portFile=True),
        Contender("eager", "Protocol, eager reactor", _script("twistedecho.py", "eager")),
        Contender("stock", "Protocol, stock Twisted", _script("twistedecho.py", "epoll")),
        Contender("asyncio", "asyncio Protocol", _script("asyncioecho.py", "asyncio")),
    ]
    if importlib.util.find_spec("uvloop") is not None:
        every.append(Contender("uvloop", "uvloop Protocol", _script("asyncioecho.py", "uvloop")))
    if against is not None:
        every.insert(1, Contender("before", "tcplab before", _lab(against), portFile=True))
    if echo is not None:
        every.insert(0, Contender("c", "C, epoll", lambda greet, _: [str(echo), *_greeting(greet)]))
    return every


def _greeting(greet: bool) -> list[str]:
    return [GREETING] if greet else []


def _script(name: str, kind: str) -> Callable[[bool, Path], list[str]]:
    path = str(HERE / "servers" / name)
    return lambda greet, _: [sys.executable, path, kind, *_greeting(greet)]


def _lab(twistd: Path) -> Callable[[bool, Path], list[str]]:
    """Start a lab as users do: no reactor chosen, and everything that is on by default."""

    def words(greet: bool, folder: Path) -> list[str]:
        serve = f"{'lab' if greet else 'echo'}@tcp:0:interface=127.0.0.1"
        return [str(twistd), "-n", "tcplab", "--serve", serve, "--port-file", str(folder / "port")]

    return words


@contextmanager
def serving(contender: Contender, greet: bool, core: int, folder: Path) -> Iterator[Running]:
    """
    Start a server on a core, and stop it whatever happens.

    :param folder: where its log goes, and its port file.
    :raises Trouble: it does not start.
    """
    (folder / "port").unlink(missing_ok=True)
    out, log = folder / "out", folder / "log"
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            contender.words(greet, folder),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
        )
        try:
            os.sched_setaffinity(process.pid, {core})
            place = folder / "port" if contender.portFile else out
            yield Running(process.pid, _port(process, place, log))
        finally:
            _stop(process)


def _port(process: subprocess.Popen[bytes], place: Path, log: Path) -> int:
    # Whole when its line is: NAME HOST PORT, or PORT.
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        text = place.read_text() if place.exists() else ""
        if text.endswith("\n"):
            return int(text.split()[-1])
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            raise Trouble(f"it ended with status {process.returncode}, and said: {said[-1]}")
        time.sleep(0.005)
    raise Trouble(f"it does not serve after {PATIENCE} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE / 4)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
