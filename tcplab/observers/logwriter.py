"""Lines that a thread of their own writes, so that nobody waits for who does not take them."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

from twisted.logger import Logger

log = Logger("tcplab.observers.writer")

#: Bytes that wait for a reader who stands still, or for room on a disk: some thousand lines. What
#: comes above that is counted, and the count is told.
MAX_BUFFERED = 1 << 20
#: Seconds until what could not be written is tried again.
RETRY = 1.0
#: Seconds for the last lines, at the end of the process.
SHUTDOWN_TIMEOUT = 2.0
#: Seconds without a line after which the thread ends. As long as there is a second one, the kernel
#: counts who uses a descriptor in every call that takes one: 4 % of what an echo costs.
IDLE_TIMEOUT = 0.1


class LogWriter:
    """
    Take lines at once, and have a thread write them, in their order; it lives while there are some.

    A line that cannot be written is tried again: the disk may have room by then, or the pipe a
    reader. If too many wait, the next are lost, until all that wait are written; then one line says
    how many those were.

    There is no thread before `begin`, for twistd may fork first. It holds up no process that ends:
    the last lines are for `finish`.

    :param write: writes a line; may block, and may raise ``OSError``.
    :param tell: is told, in any thread, how many lines were lost, and why.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        tell: Callable[[int, str], object] | None = None,
    ) -> None:
        self._write = write
        self._tell = tell or _logLost
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._failed = ""
        self._begun = False
        self._thread: threading.Thread | None = None
        # Reentrant, for what interrupts us: the handler of a signal may log too.
        self._changed = threading.Condition(threading.RLock())
        os.register_at_fork(after_in_child=self._forked)

    def put(self, line: bytes) -> None:
        """Take a line, or count it."""
        with self._changed:
            if self._lost or self._size > MAX_BUFFERED:
                self._lost += 1
                return
            self._lines.append(line)
            self._size += len(line)
            if len(self._lines) == 1:
                self._changed.notify_all()
            self._start()

    def begin(self) -> None:
        """Begin to write, what was taken first."""
        with self._changed:
            self._begun = True
            self._start()

    def _start(self) -> None:
        if not (self._begun and self._lines) or self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # there may be no more threads now; the next line tries again
            self._thread = None

    def finish(self) -> None:
        """Have the rest written. Give up if that fails once, or takes more than two seconds."""
        with self._changed:
            self._failed = ""
            self._changed.notify_all()
            if self._thread is not None:
                self._changed.wait_for(lambda: not self._lines or self._failed, SHUTDOWN_TIMEOUT)
            else:  # the reactor has never run, or nothing waits
                while self._lines and self._written(self._lines[0]):
                    self._lines.popleft()

    def _forked(self) -> None:
        # Threads stay with the parent, and so do the lines that wait for ours.
        if self._begun:
            self.put = self._written  # type: ignore[method-assign, assignment]
            self.finish = lambda: None  # type: ignore[method-assign]

    def _written(self, line: bytes) -> bool:
        try:
            self._write(line)
        except Exception as e:
            self._failed = getattr(e, "strerror", None) or repr(e)
            return False
        return True

    # The thread

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._lines, IDLE_TIMEOUT):
                    self._thread = None
                    return
                line = self._lines[0]
            if self._written(line):
                self._next(line)
            else:
                with self._changed:
                    self._changed.notify_all()
                    self._changed.wait(RETRY)

    def _next(self, line: bytes) -> None:
        with self._changed:
            self._lines.popleft()
            self._size -= len(line)
            if self._lines:
                return
            lost, self._lost = self._lost, 0
            why, self._failed = self._failed or "nobody read it", ""
            self._changed.notify_all()
        if lost:
            self._tell(lost, why)


def _logLost(lost: int, why: str) -> None:
    log.warn("{lost} lines of the log were lost: {why}", log_system="tcplab", lost=lost, why=why)
