"""The server that is tried: ``twistd -n tcplab`` in a process of its own, seen from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from soak import kernel, procfs

ROOT = Path(__file__).resolve().parent.parent
TWISTD = os.path.join(sysconfig.get_path("scripts"), "twistd")

#: Seconds for a start; it takes well under one, but a case may have slowed it down.
PATIENCE = 30.0
#: Seconds for an end beyond --drain-timeout, which is 15 unless it was set.
ENDING = 25.0

#: Seconds until a crowd's memory has been given back: see `tcplab.policies.memory.HeapTrim`.
TIDY = 1.5

#: What must never be in a log, whatever peers do.
ACCIDENT = re.compile(r"Traceback|Unhandled")
#: The end of a traceback: the exception's name, and what it says.
_NAMED = re.compile(r"^\s*[\w.]+: |^\s*[\w.]*(Error|Exception|Interrupt)$")


class Trouble(Exception):
    """A case could not be carried out; the text says why in one line."""


@dataclass
class Start:
    """
    How a lab is started.

    :ivar words: after ``twistd -n tcplab``.
    :ivar enter: called in the new process, before it is twistd: to go into a network or a cgroup.
    :ivar log: a file or a descriptor for its stdout and stderr; ``None`` makes a file.
    :ivar twistd: words before ``tcplab``.
    :ivar descriptors: of ours that it has too.
    """

    words: tuple[str, ...]
    enter: Callable[[], None] | None = None
    log: Any = None
    twistd: tuple[str, ...] = (TWISTD, "-n")
    env: dict[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()


class Lab:
    """
    A lab that runs.

    :ivar pid: its process.
    :ivar ports: where it listens: host and port by the name in its port file.
    :ivar ending: it was told to end.
    :raises Trouble: it does not start.
    """

    def __init__(self, start: Start, folder: Path) -> None:
        self._logFile = folder / "log"
        self._portFile = folder / "ports"
        log = self._logFile.open("wb") if start.log is None else start.log

        def enter() -> None:
            kernel.dieWithParent()
            if start.enter is not None:
                start.enter()

        self.process = subprocess.Popen(
            [*start.twistd, "tcplab", *start.words, "--port-file", str(self._portFile)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **start.env},
            preexec_fn=enter,
            pass_fds=start.descriptors,
        )
        if start.log is None:
            log.close()
        self.pid = self.process.pid
        self.ending = False
        try:
            self.ports = self._listening()
        except BaseException:
            self.kill()
            raise

    def _listening(self) -> dict[str, tuple[str, int]]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            text = self._portFile.read_text() if self._portFile.exists() else ""
            if text:
                lines = [line.split() for line in text.splitlines()]
                return {line[0]: (line[1], int(line[2])) for line in lines if line[1] != "unix"}
            if self.process.poll() is not None:
                raise Trouble(f"it does not start: {self._last()}")
            time.sleep(0.01)
        raise Trouble(f"it does not listen after {PATIENCE:g} s: {self._last()}")

    def _last(self) -> str:
        return (self.log.strip().splitlines() or ["it says nothing"])[-1]

    @property
    def rawLog(self) -> bytes:
        """All that it has said, as far as it went into our file."""
        return self._logFile.read_bytes() if self._logFile.exists() else b""

    @property
    def log(self) -> str:
        """The same as a text."""
        return self.rawLog.decode("ascii", "backslashreplace")

    @property
    def accidents(self) -> list[str]:
        """What its log tells of accidents: of each the line that says which."""
        lines = self.log.splitlines()
        return [
            next((each.strip() for each in lines[number:] if _NAMED.search(each)), line)
            for number, line in enumerate(lines)
            if ACCIDENT.search(line)
        ]

    @property
    def good(self) -> tuple[str, int]:
        """The address of the last echo, for good clients."""
        return [place for name, place in self.ports.items() if name.startswith("echo")][-1]

    @property
    def numbers(self) -> set[int]:
        """The numbers of its TCP ports."""
        return {port for _, port in self.ports.values()}

    @property
    def connections(self) -> int:
        """How many connections it has."""
        return procfs.connectionsOf(self.pid, self.numbers)

    @property
    def resident(self) -> int:
        """Bytes of memory in use."""
        return machine.residentOf(self.pid)

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        return machine.cpuOf(self.pid)

    def running(self) -> bool:
        """Tell whether it still runs."""
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.ending = self.ending or number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    def ended(self, seconds: float) -> float:
        """Wait for its end, and return how long that took; infinite if it does not end."""
        begun = time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            return time.monotonic() - begun
        return float("inf")

    def stop(self) -> int:
        """End it as users do, and return its status."""
        if self.running():
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)  # a case may have stopped it
        if self.ended(ENDING) == float("inf"):
            self.kill()
            raise Trouble(f"it does not end {ENDING:g} s after SIGTERM")
        return self.process.returncode

    def kill(self) -> None:
        """End it whatever it does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(start: Start, scratch: Path) -> Iterator[Lab]:
    """Run a lab, in a folder of its own; it does not outlive the ``with``."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        lab = Lab(start, Path(folder))
        try:
            yield lab
        finally:
            lab.kill()


@dataclass(frozen=True)
class State:
    """What must come back to where it was."""

    descriptors: int
    connections: int
    resident: int

    @classmethod
    def of(cls, lab: Lab) -> State:
        """Look at a lab."""
        return cls(procfs.descriptorsOf(lab.pid), lab.connections, lab.resident)


def settled(lab: Lab, before: State, seconds: float) -> State:
    """Wait until no connection and no descriptor is left over, and return what there is then."""
    until = time.monotonic() + seconds
    while True:
        now = State.of(lab)
        same = (now.descriptors, now.connections) == (before.descriptors, before.connections)
        if same or time.monotonic() > until:
            return now
        time.sleep(0.05)


def tidied(lab: Lab) -> State:
    """Wait for what a crowd has left behind to be given back, and return what there is then."""
    time.sleep(TIDY)
    return State.of(lab)
