"""The files that twistd writes beside us: whether there is a pid file, and who may read the log."""

from __future__ import annotations

import os
from typing import Any

#: twistd's own umask in the background, unless --umask was said.
_BACKGROUND = 0o077


def _foreground(twistd: Any) -> bool:
    return bool(twistd.get("nodaemon") or twistd.get("debug"))


def leaveOutPidFile(twistd: Any) -> None:
    """
    Leave the pid file out in the foreground, unless it was asked for.

    There nobody looks for it, and it would forbid a second lab in the same folder. If it is the
    very object that is the default; a file that the user has named stays.

    :param twistd: its options.
    """
    if _foreground(twistd) and twistd.get("pidfile") is twistd.defaults.get("pidfile"):
        twistd["pidfile"] = ""


def closeLog(twistd: Any) -> None:
    """
    Have the log written in the background be for its owner only: what peers say is in it.

    twistd opens it with the umask of whoever starts it, and sets its own only afterwards.
    """
    if not _foreground(twistd) and twistd.get("umask", 0) is None:
        os.umask(_BACKGROUND)
