"""The process of a lab: exit status, garbage collector, pid file, mode of the log file."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Any


def exitWith(status: int) -> None:
    """
    Have this process end with ``status``, once its main program is through.

    twistd and twist end with 0 whenever the reactor was stopped. All that others have asked for
    with ``atexit`` is done before. To be called late, when the reactor has stopped: what is
    registered after it would be done twice.
    """

    def end() -> None:
        atexit.unregister(end)
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(status)

    atexit.register(end)


# New objects before it looks for garbage, instead of 700, and how often before it looks at older
# ones too. With 700 it looked through all that live, 90 ms for 5,000 connections, at every quarter
# more of them. What a connection leaves goes when it is over, without being looked for. Only what
# faults leave does not: it is found when 300,000 are new, which is 30 MB of it at most.
_THRESHOLDS = 10_000, 10, 3


def relaxGC() -> None:
    """Look for garbage less often, and not at all among what is there now: it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


#: twistd's own umask in the background, unless --umask was said.
_BACKGROUND = 0o077


def _foreground(twistd: Any) -> bool:
    return bool(twistd.get("nodaemon") or twistd.get("debug"))


def disablePidFile(twistd: Any) -> None:
    """
    Leave the pid file out in the foreground, unless it was asked for.

    There nobody looks for it, and it would forbid a second lab in the same folder. If it is the
    very object that is the default; a file that the user has named stays.

    :param twistd: its options.
    """
    if _foreground(twistd) and twistd.get("pidfile") is twistd.defaults.get("pidfile"):
        twistd["pidfile"] = ""


def restrictLogMode(twistd: Any) -> None:
    """
    Have the log written in the background be for its owner only: what peers say is in it.

    twistd opens it with the umask of whoever starts it, and sets its own only afterwards.
    """
    if not _foreground(twistd) and twistd.get("umask", 0) is None:
        os.umask(_BACKGROUND)
