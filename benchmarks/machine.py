"""The machine: its name, its cores, and the processes that use them."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import resource
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def described() -> dict[str, str | int]:
    """Name what the figures depend on: the hardware, the system, and the versions."""
    return {
        "cpu": _cpuModel(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: _version(name) for name in ("twisted", "tcplab", "uvloop")},
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _cpuModel() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def twoCores() -> tuple[int, int]:
    """
    Choose a core for the server and one for the generator: the same if there is only one.

    The first and the last: neighbours may be two halves of one core.
    """
    ours = sorted(os.sched_getaffinity(0))
    return ours[0], ours[-1]


def allowFiles() -> int:
    """Raise the limit of open files, for child processes too, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cpuOf(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def residentOf(pid: int) -> int:
    """Return the bytes of memory that a process has in use (RSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no memory any more")


class Use:
    """
    The use of two cores since this object was made, by process.

    :param server: its process id.
    :param generator: its process id; it may have ended, but must not have been waited for.
    """

    def __init__(self, cores: tuple[int, int], server: int, generator: int) -> None:
        self._cores = {f"cpu{core}" for core in cores}
        self._server, self._generator = server, generator
        self._then = self._now()

    def _now(self) -> tuple[float, float, float]:
        busy = 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name in self._cores:
                # user, nice, system, idle, iowait, irq, softirq, steal (proc(5))
                busy += sum(int(each) for each in ticks[:3] + ticks[5:8])
        return (
            busy / TICKS,
            cpuOf(self._server),
            cpuOf(self._generator) + time.process_time(),
        )

    def soFar(self) -> tuple[float, float]:
        """Return the seconds of CPU that the server, and that other programs have used."""
        busy, server, ours = (now - then for now, then in zip(self._now(), self._then, strict=True))
        return server, max(0.0, busy - server - ours)
