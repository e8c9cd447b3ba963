"""The memory limit of this process: what its cgroup allows, and how much of that is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

#: Where the kernel lists the cgroups of this process, and where their files are.
OWN, ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

#: Limits from here on mean "no limit": version 1 writes the largest number of pages.
_UNLIMITED = 2**60


@dataclass(frozen=True)
class _Version:
    """The names of the files, and those of the page cache in ``memory.stat``."""

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
    A cgroup that limits memory.

    :ivar limit: bytes that all processes in it may use together. In version 2 of cgroups they
        include what the kernel holds for connections; in version 1 they do not.
    """

    def __init__(self, folder: Path, version: _Version, limit: int) -> None:
        self.limit = limit
        self._folder = folder
        self._version = version

    def used(self) -> int:
        """Return the used bytes without the page cache, which the kernel takes back; or 0."""
        try:
            used = int((self._folder / self._version.used).read_text())
            # The cache takes several times as long to read, and matters only under pressure.
            return used if used < self.limit // 2 else used - self._cache()
        except (OSError, ValueError):
            return 0

    def _cache(self) -> int:
        words = (self._folder / "memory.stat").read_text().split()
        found = dict(zip(words[::2], words[1::2], strict=True))
        return sum(int(found.get(name, 0)) for name in self._version.cache)


def memoryCgroup(own: Path = OWN, root: Path = ROOT) -> Cgroup | None:
    """Return the cgroup with the lowest limit of all that include this process, or ``None``."""
    return min(_limited(own, root), key=lambda each: each.limit, default=None)


def _limited(own: Path, root: Path) -> Iterator[Cgroup]:
    for folder, version in _folders(own, root):
        try:
            limit = int((folder / version.limit).read_text())
        except (OSError, ValueError):  # the file is missing, or holds "max"
            continue
        if limit < _UNLIMITED:
            yield Cgroup(folder, version, limit)


def _folders(own: Path, root: Path) -> Iterator[tuple[Path, _Version]]:
    """Return all candidates; in a container the listed path may be one of the host."""
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
