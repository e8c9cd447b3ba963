"""Tests for `tcplab.policies.cgroup`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.cgroup import Cgroup, memoryCgroup

MIB = 2**20


class CgroupTests(SynchronousTestCase):
    """In a folder that looks like ``/sys/fs/cgroup``."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp())

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def find(self, *own: str) -> Cgroup | None:
        self.write("own", "\n".join(own))
        return memoryCgroup(self.root / "own", self.root)

    def test_limit(self) -> None:
        """The lowest of all limits, in either version, and in a container."""
        v1 = "memory.limit_in_bytes"
        for files, own, limit in (
            ({"a.slice/b/memory.max": 160 * MIB}, ["0::/a.slice/b"], 160 * MIB),
            # The controller of version 1 may share its folder with another.
            (
                {f"memory/a/{v1}": 160 * MIB, f"cpu/a/{v1}": 1},
                ["5:cpu:/a", "4:rdma,memory:/a"],
                160 * MIB,
            ),
            # Where there are both, version 2 has a folder of its own, and no limit.
            (
                {f"memory/a/{v1}": 160 * MIB, "unified/a/cgroup.procs": ""},
                ["4:memory:/a", "0::/a"],
                160 * MIB,
            ),
            (
                {"a/memory.max": 5, "a/b/memory.max": 7, "a/b/c/memory.max": "max"},
                ["0::/a/b/c"],
                5,
            ),
            # A container may show the path of the host, and mount its own cgroup as the root.
            ({f"memory/{v1}": 160 * MIB}, ["4:memory:/docker/abc"], 160 * MIB),
            ({"a/memory.max": "max"}, ["0::/a"], None),
            ({f"memory/a/{v1}": 9223372036854771712}, ["4:memory:/a"], None),
            ({}, ["0::/a", "4:memory:/a", "4:cpu:/a"], None),
            ({}, [], None),
        ):
            self.root = Path(self.mktemp())
            for path, text in files.items():
                self.write(path, text)
            found = self.find(*own)
            self.assertEqual(found and found.limit, limit, own)
        self.assertIsNone(memoryCgroup(self.root / "nowhere", self.root))

    def test_used(self) -> None:
        """Without the page cache, which is read above half of the limit only."""
        for own, folder, limit, used, prefix in (
            ("0::/a", "a", "memory.max", "memory.current", ""),
            ("4:memory:/a", "memory/a", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
        ):
            self.write(f"{folder}/{limit}", 160 * MIB)
            found = self.find(own)
            assert found is not None
            self.assertEqual(found.used(), 0)  # there is no file, as after a move of the process
            cache = f"{prefix}active_file {10 * MIB}\n{prefix}inactive_file {20 * MIB}"
            self.write(f"{folder}/memory.stat", f"active_files 5\n{cache}")
            for current, expected in ((100, 70), (79, 79)):
                self.write(f"{folder}/{used}", current * MIB)
                self.assertEqual(found.used(), expected * MIB)
