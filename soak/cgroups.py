"""cgroups of the first version: bounds for one process, gone when the case is through."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_PREFIX = "tcplab-soak-"


class Group:
    """
    One that is there.

    :ivar folder: its files.
    """

    def __init__(self, controller: str) -> None:
        self.folder = ROOT / controller / f"{_PREFIX}{os.getpid()}"
        for left in self.folder.parent.glob(f"{_PREFIX}*"):
            with suppress(OSError):  # of one that was killed; those in use cannot be removed
                left.rmdir()
        self.folder.mkdir()

    def set(self, name: str, value: int) -> None:
        """Set a bound."""
        (self.folder / name).write_text(str(value))

    def number(self, name: str, key: str = "") -> int:
        """Read a number, from a file that has many the one of this name."""
        words = (self.folder / name).read_text().split()
        return int(words[words.index(key) + 1] if key else words[0])

    def enter(self) -> None:
        """Go in: for a process that has just been forked."""
        (self.folder / "cgroup.procs").write_text("0")

    def remove(self) -> None:
        """Remove it; the process that was in it has just ended, and the kernel may be late."""
        for _ in range(50):
            with suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.1)


@contextmanager
def group(controller: str) -> Iterator[Group]:
    """Make one, and remove it whatever happens."""
    made = Group(controller)
    try:
        yield made
    finally:
        made.remove()
