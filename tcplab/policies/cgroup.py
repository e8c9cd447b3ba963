"""How much memory this process may have, and how much of it is taken: what its cgroup says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

#: Where the kernel says in which cgroups we are, and where those are.
OWN, ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

#: What stands for "no limit" in the first version is the largest number of pages.
_ENDLESS = 2**60


@dataclass(frozen=True)
class _Version:
    """The names of the files, and of the page cache in ``memory.stat``: it goes when needed."""

    limit: str
    used: str
    cache: tuple[str, ...]


_V1 = _Version(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)
_V2 = _Version("memory.max", "memory.current", ("active_file", "inactive_file"))


class Cgroup:
    """
    The one whose limit is the lowest of all that we are in.

    :ivar limit: bytes that all processes in it may have together. In the second version of cgroups
        what the kernel holds for connections counts too; in the first it does not.
    """

    def __init__(self, folder: Path, version: _Version, limit: int) -> None:
        self.limit = limit
        self._folder = folder
        self._version = version

    def used(self) -> int:
        """Return how many bytes of it are taken, and would not be given back for others; or 0."""
        try:
            used = int((self._folder / self._version.used).read_text())
            # The rest takes several times as long, and matters only when it becomes tight.
            return used if used < self.limit // 2 else used - self._cache()
        except (OSError, ValueError):
            return 0

    def _cache(self) -> int:
        words = (self._folder / "memory.stat").read_text().split()
        found = dict(zip(words[::2], words[1::2], strict=True))
        return sum(int(found.get(name, 0)) for name in self._version.cache)


def memoryCgroup(own: Path = OWN, root: Path = ROOT) -> Cgroup | None:
    """Return the cgroup that limits our memory, or ``None``."""
    return min(_limited(own, root), key=lambda each: each.limit, default=None)


def _limited(own: Path, root: Path) -> Iterator[Cgroup]:
    for folder, version in _folders(own, root):
        try:
            limit = int((folder / version.limit).read_text())
        except (OSError, ValueError):  # it is not there, or says "max"
            continue
        if limit < _ENDLESS:
            yield Cgroup(folder, version, limit)


def _folders(own: Path, root: Path) -> Iterator[tuple[Path, _Version]]:
    """Find all that we may be in; in a container the path may be one that is not here."""
    for names, path in _entries(own):
        places: Iterable[Path] = (root / "memory",) if "memory" in names else ()
        if names == [""]:
            places = root, root / "unified"
        version = _V2 if names == [""] else _V1
        inner = PurePosixPath(path.lstrip("/"))
        for place in places:
            for each in (inner, *inner.parents):
                yield place / each, version


def _entries(own: Path) -> Iterator[tuple[list[str], str]]:
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = (line + "::").split(":", 2)
        yield names.split(","), path.removesuffix("::")
