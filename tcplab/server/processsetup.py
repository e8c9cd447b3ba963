"""The process of a lab: exit status, garbage collector, pid file, mode of the log file."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Mapping

from twisted.python.usage import Options


def exitWith(status: int) -> None:
    """
    End this process with ``status`` once its main program returns.

    twistd and twist end with 0 whenever the reactor was stopped. All functions that were registered
    with ``atexit`` run before.

    **Limit:** functions that are registered after this call run twice; call it when the reactor has
    stopped.
    """

    def end() -> None:
        atexit.unregister(end)
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(status)

    atexit.register(end)


# New objects before a collection, instead of 700, and collections before one of older objects.
# With 700 each quarter more connections cost a full collection, 90 ms for 5,000 of them. The
# objects of a connection are freed at its end, without a collection. Only those of faults are
# cycles: they are collected when 300,000 objects are new, which is 30 MB at most.
_THRESHOLDS = 10_000, 10, 3


def relaxGC() -> None:
    """Collect garbage less often, and never search the objects that exist now: they stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


#: twistd's own umask in the background, without --umask.
_BACKGROUND = 0o077


def _foreground(twistd: Mapping[str, object]) -> bool:
    return bool(twistd.get("nodaemon") or twistd.get("debug"))


def disablePidFile(twistd: Options) -> None:
    """
    Write no pid file in the foreground, unless it was asked for.

    Nothing reads it there, and it would forbid a second lab in the same folder. A file that was
    named on the command line stays: it is another object than the default.

    :param twistd: its options.
    """
    if _foreground(twistd) and twistd.get("pidfile") is twistd.defaults.get("pidfile"):
        twistd["pidfile"] = ""


def restrictLogMode(twistd: Mapping[str, object]) -> None:
    """
    Set umask 077 for twistd's log file in the background: it contains data of peers.

    twistd opens it with the umask that it was started with, and sets its own only afterwards.

    :param twistd: its options; ``{}`` under twist.
    """
    if not _foreground(twistd) and twistd.get("umask", 0) is None:
        os.umask(_BACKGROUND)
