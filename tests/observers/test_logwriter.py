"""Tests for `tcplab.observers.logwriter`."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import AbstractContextManager
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

    :ivar open: it takes what is written; while it is not, who writes waits.
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


class Writing(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.paper = Paper()
        self.addCleanup(self.paper.open.set)
        self.told: list[tuple[int, str]] = []
        self.telling = threading.Event()
        self.patch(logwriter, "RETRY", 0.001)
        self.patch(logwriter, "SHUTDOWN_TIMEOUT", PATIENCE)
        self.writer = LogWriter(self.paper.write, self.tell)

    def tell(self, lost: int, why: str) -> None:
        self.told.append((lost, why))
        self.telling.set()

    def put(self, *lines: bytes) -> None:
        for line in lines:
            self.writer.put(line)

    def tried(self) -> None:
        """Wait until it has tried to write once more."""
        self.assertTrue(self.paper.tried.acquire(timeout=PATIENCE))

    def blocked(self, *lines: bytes) -> None:
        """Have nothing taken from now on, with one line on its way."""
        self.paper.open.clear()
        self.writer.begin()
        self.put(*lines)
        self.tried()


def noThreads() -> AbstractContextManager[object]:
    """Have the system start no threads."""
    return patch.object(threading.Thread, "start", side_effect=RuntimeError)


class Order(Writing):
    def test_nothing_is_written_before_it_has_begun(self) -> None:
        self.put(b"1")
        self.assertEqual(self.paper.lines, [])
        self.writer.begin()
        self.tried()
        self.writer.finish()
        self.assertEqual(self.paper.lines, [b"1"])

    def test_lines_keep_their_order(self) -> None:
        lines = [b"%d" % number for number in range(1000)]
        self.put(*lines[:10])
        self.writer.begin()
        self.writer.begin()
        self.put(*lines[10:])
        self.writer.finish()
        self.assertEqual(self.paper.lines, lines)
        self.put(b"more")
        self.writer.finish()
        self.assertEqual(self.paper.lines, [*lines, b"more"])

    def test_nobody_waits_while_it_cannot_write(self) -> None:
        self.blocked(b"1")
        self.put(b"2", b"3")  # or this would not return
        self.assertEqual(self.paper.lines, [])
        self.paper.open.set()
        self.writer.finish()
        self.assertEqual(self.paper.lines, [b"1", b"2", b"3"])

    def test_thread_does_not_hold_up_the_end(self) -> None:
        self.blocked(b"1")
        thread = self.writer._thread
        assert thread is not None
        self.assertTrue(thread.daemon)
        self.paper.open.set()

    def test_there_is_no_thread_while_there_are_no_lines(self) -> None:
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

    def test_there_may_be_no_more_threads(self) -> None:
        """The next line tries again."""
        self.writer.begin()
        with noThreads():
            self.put(b"1")
        self.put(b"2")
        self.writer.finish()
        self.assertEqual(self.paper.lines, [b"1", b"2"])

    def test_there_may_be_no_more_threads_at_the_end(self) -> None:
        """The last lines are written all the same."""
        self.writer.begin()
        with noThreads():
            self.put(b"1")
            self.writer.finish()
        self.assertEqual(self.paper.lines, [b"1"])

    def test_from_a_handler_of_a_signal_while_a_line_is_taken(self) -> None:
        with self.writer._changed:
            self.put(b"1")
        self.writer.finish()
        self.assertEqual(self.paper.lines, [b"1"])


class Lost(Writing):
    def setUp(self) -> None:
        super().setUp()
        self.patch(logwriter, "MAX_BUFFERED", 2)

    def loses(self, why: str) -> None:
        self.put(b"2", b"3", b"4", b"5")
        self.paper.open.set()
        self.assertTrue(self.telling.wait(PATIENCE))
        self.assertEqual(self.paper.lines, [b"1", b"2", b"3"])
        self.assertEqual(self.told, [(2, why)])
        self.put(b"6")
        self.writer.finish()
        self.assertEqual(self.paper.lines[3:], [b"6"])

    def test_what_is_too_much_is_counted_and_told_when_all_else_is_written(self) -> None:
        self.blocked(b"1")
        self.loses("it was not read")

    def test_why(self) -> None:
        self.paper.problems.append(OSError(errno.ENOSPC, "No space left on device"))
        self.blocked(b"1")
        self.loses("No space left on device")

    def test_the_log_says_so(self) -> None:
        LogWriter(self.paper.write)._onLost(2, "it was not read")
        self.assertEqual(
            self.lines(LogLevel.warn), ["2 lines of the log were lost: it was not read"]
        )


class Failing(Writing):
    def test_what_cannot_be_written_is_tried_again(self) -> None:
        self.paper.problems += [OSError(errno.ENOSPC, "full"), ValueError("closed")]
        self.put(b"1", b"2")
        self.writer.begin()
        for _ in range(4):
            self.tried()
        self.writer.finish()
        self.assertEqual(self.paper.lines, [b"1", b"2"])
        self.assertEqual(self.told, [])

    def test_at_the_end_it_is_not_waited_for(self) -> None:
        self.patch(logwriter, "RETRY", PATIENCE)
        self.paper.problems += [OSError(errno.EPIPE, "gone")] * 3
        self.writer.begin()
        self.put(b"1")
        self.tried()
        self.writer.finish()
        self.assertEqual(self.paper.lines, [])

    def test_who_takes_nothing_is_waited_for_a_little(self) -> None:
        self.patch(logwriter, "SHUTDOWN_TIMEOUT", 0.001)
        self.blocked(b"1")
        self.writer.finish()
        self.assertEqual(self.paper.lines, [])

    def test_end_before_it_has_begun(self) -> None:
        self.put(b"1", b"2")
        self.paper.problems.append(OSError())
        self.writer.finish()
        self.assertEqual(self.paper.lines, [])
        self.writer.finish()
        self.assertEqual(self.paper.lines, [b"1", b"2"])


@processes
class Forked(Writing):
    def child(self) -> None:
        """Log something as a child would, and end."""
        self.put(b"child")
        self.writer.finish()

    def test_child_writes_its_own_lines_itself(self) -> None:
        self.blocked(b"parent")
        self.put(b"waits")
        out, into = os.pipe()
        self.addCleanup(os.close, out)
        self.patch(self.writer, "_write", lambda line: os.write(into, line))
        child = os.fork()
        if not child:
            try:
                self.child()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(into)
        self.assertEqual(os.read(out, 99), b"child")
        self.paper.open.set()

    def test_before_it_has_begun_all_goes_with_the_child(self) -> None:
        # twistd goes to the background so, and its parent writes nothing.
        self.put(b"before")
        self.writer._forked()
        self.put(b"after")
        self.writer.finish()
        self.assertEqual(self.paper.lines, [b"before", b"after"])
