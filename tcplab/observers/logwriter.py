"""Lines that a thread of its own writes, so that no connection waits for a reader of the log."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

from twisted.logger import Logger

log = Logger("tcplab.observers.writer")

#: Bytes that wait for a reader that has stopped, or for room on a disk: some thousand lines.
#: Further lines are counted and lost.
MAX_BUFFERED = 1 << 20
#: Seconds until a line that could not be written is tried again.
RETRY = 1.0
#: Seconds for the last lines, at the end of the process.
SHUTDOWN_TIMEOUT = 2.0
#: Seconds without a line after which the thread ends. While a second thread lives, the kernel
#: counts the users of a descriptor in every call that takes one: 4 % of what an echo costs.
IDLE_TIMEOUT = 0.1


class LogWriter:
    """
    Take lines at once; a thread, which lives while there are some, writes them in their order.

    A line that cannot be written is tried again: the disk may have room by then, or the pipe a
    reader. **Limit:** above `MAX_BUFFERED`, further lines are lost until all that wait are written;
    then ``onLost`` is called with their number.

    There is no thread before `begin`, for twistd may fork first. It does not keep a process from
    ending: the last lines are for `finish`. In a child of a fork there is no thread: its lines are
    written at once.

    :param write: writes a line; may block, and may raise ``OSError``.
    :ivar reopen: has the next line written to a new file of the same name; ``None``: there is no
        file.
    :param onLost: called, in any thread, with the number of lost lines, and why; logs it by
        default.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        onLost: Callable[[int, str], object] | None = None,
        reopen: Callable[[], object] | None = None,
    ) -> None:
        self.reopen = reopen
        self._write = write
        self._onLost = onLost or _logLost
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        self._failed = ""
        self._begun = False
        self._inChild = False
        self._thread: threading.Thread | None = None
        # Reentrant, since the handler of a signal may log in the middle of it.
        self._changed = threading.Condition(threading.RLock())
        os.register_at_fork(after_in_child=self._forked)

    def put(self, line: bytes) -> None:
        """Take a line, or count it as lost."""
        if self._inChild:
            self._written(line)
            return
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
        """Begin to write, the lines first that were taken before."""
        with self._changed:
            self._begun = True
            self._start()

    def _start(self) -> None:
        if not (self._begun and self._lines) or self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads are allowed now; the next line tries again
            self._thread = None

    def finish(self) -> None:
        """Write the rest. Give up if that fails once, or takes more than two seconds."""
        if self._inChild:
            return
        with self._changed:
            self._failed = ""
            self._changed.notify_all()
            if self._thread is not None:
                self._changed.wait_for(lambda: not self._lines or self._failed, SHUTDOWN_TIMEOUT)
            else:  # the reactor has never run, or no line waits
                while self._lines and self._written(self._lines[0]):
                    self._lines.popleft()

    def _forked(self) -> None:
        # Threads stay with the parent, and so do the lines that wait for one. Its lock may be held.
        self._inChild = self._begun

    def _written(self, line: bytes) -> bool:
        try:
            self._write(line)
        except Exception as e:
            self._failed = (isinstance(e, OSError) and e.strerror) or repr(e)
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
            why, self._failed = self._failed or "it was not read", ""
            self._changed.notify_all()
        if lost:
            self._onLost(lost, why)


def _logLost(lost: int, why: str) -> None:
    log.warn("{lost} lines of the log were lost: {why}", log_system="tcplab", lost=lost, why=why)
