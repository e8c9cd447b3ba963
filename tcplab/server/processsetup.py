"""The process of a lab: exit status, garbage collector, pid file, mode of the log file."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorCore
from twisted.python.usage import Options

from tcplab.config.errors import SettingsError


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


#: Seconds for threads to end after the drain: those that work end in less.
_THREADS = 0.5


def leaveThreads(reactor: IReactorCore, leave: Callable[[], object]) -> None:
    """
    Leave the process soon after the drain, although a thread still works.

    Twisted waits for the threads of the reactor, and Python for all but daemons: for ever, if one
    of a behaviour's own does not return.

    :param leave: ends the process; called in another thread, and only if a thread is there.
    """

    def check() -> None:
        others = set(threading.enumerate()) - {threading.main_thread()}
        if any(not each.daemon for each in others):
            leave()

    def begin() -> None:
        timer = threading.Timer(_THREADS, check)
        timer.daemon = True
        timer.start()

    reactor.addSystemEventTrigger("during", "shutdown", begin)


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


def prepareFiles(twistd: Options) -> None:
    """
    Refuse files and folders of twistd's options that would end it with a traceback later.

    In the foreground there is no pid file unless an option names one. Nothing reads it there, and
    it would forbid a second lab in the same folder. A file that an option names stays: it is
    another object than the default.

    **Limit:** below ``--chroot`` nothing is checked, and a disk that is full is found later.

    :param twistd: its options.
    :raises SettingsError: one cannot be used.
    """
    foreground = _foreground(twistd)
    if foreground and twistd.get("pidfile") is twistd.defaults.get("pidfile"):
        twistd["pidfile"] = ""
    if twistd.get("chroot"):
        return
    own = twistd.get("syslog") or twistd.get("logger")
    log = twistd.get("logfile") or ("" if foreground else "twistd.log")
    if log not in ("", "-") and not own and "logfile" in twistd:
        _checkWritable("--logfile", log)
    folder = twistd.get("rundir") or "."
    if not os.path.isdir(folder):
        raise SettingsError(f"--rundir {folder}: there is no such folder: make it first")
    if twistd.get("pidfile"):
        path = os.path.join(folder, twistd["pidfile"])
        if os.path.islink(path):  # what it leads to would be overwritten
            raise SettingsError(f"--pidfile {path} is a link: remove it, or name another file")
        _checkWritable("--pidfile", path)


def _checkWritable(option: str, path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise SettingsError(f"{option} {path}: there is no folder {folder}: make it first")
    there = os.path.exists(path)
    if not os.access(path if there else folder, os.W_OK):
        what = path if there else f"in {folder}"
        raise SettingsError(f"{option} {path}: no right to write {what}: name another place")


def folderIsGone() -> bool:
    """Return whether the current folder was removed, so that no path is relative to anything."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def restrictLogMode(twistd: Mapping[str, object]) -> None:
    """
    Set umask 077 for twistd's log file in the background: it contains data of peers.

    twistd opens it with the umask that it was started with, and sets its own only afterwards.

    :param twistd: its options; ``{}`` under twist.
    """
    if not _foreground(twistd) and twistd.get("umask", 0) is None:
        os.umask(_BACKGROUND)
