"""Tests for `tcplab.server.unixpath`."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.unixpath import isServed, removeStaleLock


class RemoveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="tcplab")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "s")
        self.error = CannotListenError(None, os.fsencode(self.path), "Cannot acquire lock")

    def lock(self, seconds: float = 60) -> None:
        """Make a lock with the number of a process that lives, so many seconds ago."""
        os.symlink(str(os.getpid()), self.path + ".lock")
        then = os.lstat(self.path + ".lock").st_mtime - seconds
        os.utime(self.path + ".lock", (then, then), follow_symlinks=False)

    def bound(self, listening: bool = False) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(self.path)
        if listening:
            sock.listen(0)
        return sock

    def test_stale(self) -> None:
        """With the path, and without it."""
        for bound in (True, False):
            self.lock(60 if bound else -3600)  # the wall clock has gone back since
            if bound:
                self.bound().close()
            self.assertTrue(removeStaleLock(self.error))
            self.assertEqual(os.listdir(self.folder), [])

    def test_inUse(self) -> None:
        self.lock()
        self.bound(listening=True)
        for _ in range(2):
            self.assertFalse(removeStaleLock(self.error))
            with socket.socket(socket.AF_UNIX) as waiting:
                waiting.setblocking(False)
                waiting.connect_ex(self.path)  # now the listen queue is full
        self.assertEqual(sorted(os.listdir(self.folder)), ["s", "s.lock"])

    def test_noSocket(self) -> None:
        """A plain file and a link stay, with the lock."""
        self.lock()
        for make in (lambda: open(self.path, "w").close(), lambda: os.symlink("/x", self.path)):
            make()
            self.assertFalse(isServed(self.path))
            self.assertFalse(removeStaleLock(self.error))
            self.assertEqual(sorted(os.listdir(self.folder)), ["s", "s.lock"])
            os.remove(self.path)

    def test_starting(self) -> None:
        """A lock of just now."""
        self.lock(seconds=0)
        self.bound()
        self.assertFalse(removeStaleLock(self.error))

    def test_otherCauses(self) -> None:
        """No lock, and other errors: nothing is removed."""
        self.bound()
        self.assertFalse(removeStaleLock(self.error))
        self.lock()
        for error in (CannotListenError("", 80, OSError(98, "in use")), ValueError("what?")):
            self.assertFalse(removeStaleLock(error))
        self.assertEqual(sorted(os.listdir(self.folder)), ["s", "s.lock"])
