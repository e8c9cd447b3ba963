"""What a case needs of the machine, and whether it is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from soak.networks import Network


@dataclass(frozen=True)
class Need:
    """
    Something that a machine may not have.

    :ivar name: as told when it is missing.
    """

    name: str
    there: Callable[[], bool]


def missing(needs: Iterable[Need]) -> list[str]:
    """Name what is not here."""
    return [each.name for each in needs if not each.there()]


def _program(name: str) -> Need:
    return Need(name, lambda: shutil.which(name) is not None)


def _networks() -> bool:
    try:
        Network().close()
    except (OSError, RuntimeError):
        return False
    return True


def _controller(name: str) -> Need:
    """cgroups of the first version, each controller a folder."""
    folder = Path(f"/sys/fs/cgroup/{name}")

    def there() -> bool:
        probe = folder / "tcplab-soak-probe"
        try:
            probe.mkdir()
            probe.rmdir()
        except OSError:
            return False
        return (folder / "tasks").exists()

    return Need(f"a cgroup v1 of {name} that root may make", there)


STRACE = _program("strace")
SS = _program("ss")
NFT = _program("nft")
NETWORKS = Need("root (network namespaces)", _networks)
MEMORY_CGROUP = _controller("memory")
CPU_CGROUP = _controller("cpu")
