"""Tests for `tcplab.policies.cgroup`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.cgroup import Cgroup, memoryCgroup

MIB = 2**20
ENDLESS = 9223372036854771712


class CgroupTests(SynchronousTestCase):
    """What is found below a folder that looks like ``/sys/fs/cgroup``."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.root.mkdir(parents=True)

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def find(self, *own: str) -> Cgroup | None:
        self.write("own", "\n".join(own))
        return memoryCgroup(self.root / "own", self.root)

    def limit(self, *own: str) -> int | None:
        found = self.find(*own)
        return None if found is None else found.limit

    def test_secondVersion(self) -> None:
        """The limit is in ``memory.max``, below the path that stands behind ``0::``."""
        self.write("system.slice/lab.service/memory.max", 160 * MIB)
        self.assertEqual(self.limit("0::/system.slice/lab.service"), 160 * MIB)

    def test_firstVersion(self) -> None:
        """The limit is below the folder of its controller, which may share it with others."""
        self.write("memory/docker/abc/memory.limit_in_bytes", 160 * MIB)
        self.write("cpu/docker/abc/memory.limit_in_bytes", 1)
        self.assertEqual(self.limit("5:cpu:/docker/abc", "4:rdma,memory:/docker/abc"), 160 * MIB)

    def test_bothVersions(self) -> None:
        """Where both are there the second is in a folder of its own, and has no memory."""
        self.write("memory/a/memory.limit_in_bytes", 160 * MIB)
        self.write("unified/a/cgroup.procs", "")
        self.assertEqual(self.limit("4:memory:/a", "0::/a"), 160 * MIB)

    def test_theLeast(self) -> None:
        """What limits those around us limits us."""
        self.write("a/memory.max", 100 * MIB)
        self.write("a/b/memory.max", 200 * MIB)
        self.write("a/b/c/memory.max", "max")
        self.assertEqual(self.limit("0::/a/b/c"), 100 * MIB)

    def test_container(self) -> None:
        """Within one the path may be that outside; what is ours is mounted as the root."""
        self.write("memory/memory.limit_in_bytes", 160 * MIB)
        self.assertEqual(self.limit("4:memory:/docker/abc"), 160 * MIB)

    def test_none(self) -> None:
        """No limit, no cgroups, no such files: that is all the same."""
        self.write("a/memory.max", "max")
        self.write("memory/a/memory.limit_in_bytes", ENDLESS)
        self.assertIsNone(self.limit("0::/a", "4:memory:/a"))
        self.assertIsNone(self.limit("4:cpu:/a"))
        self.assertIsNone(self.limit())
        self.assertIsNone(memoryCgroup(self.root / "nowhere", self.root))

    def test_used(self) -> None:
        """The page cache does not count: it goes when memory is needed."""
        self.write("a/memory.max", 160 * MIB)
        self.write("a/memory.current", 100 * MIB)
        self.write("a/memory.stat", f"anon 1\nactive_file {10 * MIB}\ninactive_file {20 * MIB}")
        found = self.find("0::/a")
        assert found is not None
        self.assertEqual(found.used(), 70 * MIB)
        self.write("a/memory.current", 79 * MIB)  # less than half: it is not asked for
        self.assertEqual(found.used(), 79 * MIB)

    def test_usedInTheFirstVersion(self) -> None:
        self.write("memory/a/memory.limit_in_bytes", 160 * MIB)
        self.write("memory/a/memory.usage_in_bytes", 100 * MIB)
        stat = f"inactive_file 5\ntotal_active_file {10 * MIB}\ntotal_inactive_file {20 * MIB}"
        self.write("memory/a/memory.stat", stat)
        found = self.find("4:memory:/a")
        assert found is not None
        self.assertEqual(found.used(), 70 * MIB)

    def test_goneMeanwhile(self) -> None:
        """A process may be moved: what cannot be read is not tight."""
        self.write("a/memory.max", 160 * MIB)
        found = self.find("0::/a")
        assert found is not None
        self.assertEqual(found.used(), 0)
