"""The program of a worker, ``python -m tcplab.workers``, which the supervisor starts."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import cast

from tcplab.reactor.interfaces import IReactor
from tcplab.workers.messages import VARIABLE, WorkerConfig


def main() -> int:
    """Run a worker, and return the exit status."""
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        print("tcplab: workers are started by twistd tcplab --workers N", file=sys.stderr)
        return 2
    config = WorkerConfig.read(text)
    # A terminal's signals reach all its processes; the supervisor acts on them, for all.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    _dropPrivileges()
    with suppress(OSError):  # without the right to enter it, its modules are not found
        os.chdir(config.folder)
    if config.activated:
        # For Twisted's endpoints, which find the placeholders there.
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(config.activated))
    import_module(config.reactor).install()

    from twisted.internet import reactor as installed

    from tcplab.server.processsetup import relaxGC
    from tcplab.workers.worker import Worker

    relaxGC()
    return Worker(config, cast("IReactor", installed)).run()


def _dropPrivileges() -> None:
    # After twistd --euid the supervisor may become root again. A worker never needs that.
    if os.geteuid() != os.getuid():
        # Both set the saved ids too. macOS has no setresuid(2).
        os.setregid(os.getegid(), os.getegid())
        os.setreuid(os.geteuid(), os.geteuid())


if __name__ == "__main__":
    sys.exit(main())
