"""Tests for `tcplab.observers.logwriter`."""

from __future__ import annotations

import errno
import os
import threading
from unittest.mock import patch

from twisted.logger import LogLevel

from tcplab.observers import logwriter
from tcplab.observers.logwriter import LogWriter
from tests.support.log_capture import Logged
from tests.support.tiers import processes

#: Seconds for what another thread does at once.
PATIENCE = 60


class Paper:
    """
    What is written to.

    :ivar open: it takes what is written; while it is not set, each write blocks.
    :ivar problems: raised, one after the other, before anything is taken.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.problems: list[BaseException] = []
        self.tried = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()

    def write(self, line: bytes) -> None:
        self.tried.release()
        self.open.wait(PATIENCE)
        if self.problems:
            raise self.problems.pop(0)
        self.lines.append(line)


class WriterCase(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.paper = Paper()
        self.addCleanup(self.paper.open.set)
        self.lost: list[tuple[int, str]] = []
        self.reported = threading.Event()
        self.patch(logwriter, "RETRY", 0.001)
        self.patch(logwriter, "SHUTDOWN_TIMEOUT", PATIENCE)
        self.writer = LogWriter(self.paper.write, self.onLost)

    def onLost(self, lost: int, why: str) -> None:
        self.lost.append((lost, why))
        self.reported.set()

    def put(self, *lines: bytes) -> None:
        for line in lines:
            self.writer.put(line)

    def waitForTry(self) -> None:
        """Wait until the writer has tried to write once more."""
        self.assertTrue(self.paper.tried.acquire(timeout=PATIENCE))

    def block(self, line: bytes) -> None:
        """Have nothing taken from now on, with one line on its way."""
        self.paper.open.clear()
        self.writer.begin()
        self.put(line)
        self.waitForTry()

    def finish(self, *lines: bytes) -> None:
        """Finish, and check what was written."""
        self.writer.finish()
        self.assertEqual(self.paper.lines, list(lines))


class OrderTests(WriterCase):
    """A thread writes lines in their order, while there are some."""

    def test_order(self) -> None:
        """Lines wait until it begins, to begin twice is to begin once, and to finish is no end."""
        lines = [b"%d" % number for number in range(1000)]
        self.put(*lines[:10])
        self.assertEqual(self.paper.lines, [])
        self.writer.begin()
        self.waitForTry()
        self.writer.begin()
        self.put(*lines[10:])
        self.finish(*lines)
        self.put(b"more")
        self.finish(*lines, b"more")

    def test_blocked(self) -> None:
        """To put a line does not block while none can be written, nor does the thread's life."""
        self.block(b"1")
        self.put(b"2", b"3")  # or this would not return
        self.assertEqual(self.paper.lines, [])
        assert self.writer._thread is not None
        self.assertTrue(self.writer._thread.daemon)
        self.paper.open.set()
        self.finish(b"1", b"2", b"3")

    def test_idle(self) -> None:
        """There is no thread while there are no lines."""
        self.writer.begin()
        for line in (b"1", b"2"):
            self.assertIsNone(self.writer._thread)
            self.paper.open.clear()  # or the thread may have ended before it is looked at
            self.put(line)
            thread = self.writer._thread
            self.paper.open.set()
            assert thread is not None
            thread.join(PATIENCE)
        self.assertIsNone(self.writer._thread)
        self.assertEqual(self.paper.lines, [b"1", b"2"])

    def test_noThreads(self) -> None:
        """Where no thread can start the next line tries again, and the end writes the rest."""
        self.writer.begin()
        with patch.object(threading.Thread, "start", side_effect=RuntimeError):
            self.put(b"1")
            self.assertIsNone(self.writer._thread)
        self.block(b"2")
        self.assertIsNotNone(self.writer._thread)
        self.paper.open.set()
        self.finish(b"1", b"2")
        other = LogWriter(self.paper.write)
        other.begin()
        with patch.object(threading.Thread, "start", side_effect=RuntimeError):
            other.put(b"3")
            other.finish()
        self.assertEqual(self.paper.lines, [b"1", b"2", b"3"])

    def test_signalHandler(self) -> None:
        """The handler of a signal may log while a line is taken."""
        with self.writer._changed:
            self.put(b"1")
        self.finish(b"1")


class LostTests(WriterCase):
    """Lines above the limit are counted, and reported when all others are written."""

    def test_reported(self) -> None:
        """With the reason; further lines are written again."""
        self.patch(logwriter, "MAX_BUFFERED", 2)
        full = OSError(errno.ENOSPC, "No space left on device")
        for problems, why in (([], "it was not read"), ([full], "No space left on device")):
            self.paper.lines.clear()
            self.lost.clear()
            self.reported.clear()
            self.paper.problems += problems
            self.writer = LogWriter(self.paper.write, self.onLost)
            self.block(b"1")
            self.put(b"2", b"3", b"4", b"5")
            self.paper.open.set()
            self.assertTrue(self.reported.wait(PATIENCE))
            self.assertEqual(self.paper.lines, [b"1", b"2", b"3"])
            self.assertEqual(self.lost, [(2, why)])
            self.put(b"6")
            self.finish(b"1", b"2", b"3", b"6")

    def test_logged(self) -> None:
        """By default the report is a line of the log."""
        LogWriter(self.paper.write)._onLost(2, "it was not read")
        self.assertEqual(
            self.lines(LogLevel.warn), ["2 lines of the log were lost: it was not read"]
        )


class FailingTests(WriterCase):
    """A line that cannot be written is tried again, but the end does not wait for it."""

    def test_again(self) -> None:
        self.paper.problems += [OSError(errno.ENOSPC, "full"), ValueError("closed")]
        self.put(b"1", b"2")
        self.writer.begin()
        for _ in range(4):
            self.waitForTry()
        self.finish(b"1", b"2")
        self.assertEqual(self.lost, [])

    def test_end(self) -> None:
        """One failure ends the wait for the last lines, and so does a write that blocks."""
        self.patch(logwriter, "RETRY", PATIENCE)
        self.paper.problems += [OSError(errno.EPIPE, "gone")] * 3
        self.writer.begin()
        self.put(b"1")
        self.waitForTry()
        self.finish()
        self.patch(logwriter, "SHUTDOWN_TIMEOUT", 0.001)
        self.writer = LogWriter(self.paper.write)
        self.block(b"1")
        self.finish()

    def test_endBeforeItBegins(self) -> None:
        self.put(b"1", b"2")
        self.paper.problems.append(OSError())
        self.finish()
        self.finish(b"1", b"2")


@processes
class ForkTests(WriterCase):
    """A child of a fork has no thread."""

    def test_child(self) -> None:
        """It writes its own lines itself, and not those that wait in the parent."""
        self.block(b"parent")
        self.put(b"waits")
        out, into = os.pipe()
        self.addCleanup(os.close, out)
        self.patch(self.writer, "_write", lambda line: os.write(into, line))
        child = os.fork()
        if not child:
            try:
                self.put(b"child")
                self.writer.finish()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(into)
        self.assertEqual(os.read(out, 99), b"child")
        self.paper.open.set()

    def test_beforeItBegins(self) -> None:
        """All lines go with the child: twistd goes to the background so, and its parent ends."""
        self.put(b"before")
        self.writer._forked()
        self.put(b"after")
        self.finish(b"before", b"after")
