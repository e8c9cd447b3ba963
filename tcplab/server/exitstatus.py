"""The exit status of a process whose main program has no way to choose one."""

from __future__ import annotations

import atexit
import os
import sys


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
