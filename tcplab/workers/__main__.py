"""The program of a worker, ``python -m tcplab.workers``; the first process starts it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module

from tcplab.workers.messages import VARIABLE, WorkerConfig


def main() -> int:
    """Be a worker, and return the exit status."""
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        print("tcplab: workers are started by twistd tcplab --workers N", file=sys.stderr)
        return 2
    config = WorkerConfig.read(text)
    # A terminal's signals go to all its processes; what they mean is said by the first.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _dropPrivileges()
    with suppress(OSError):  # that user may not; what lies there is then not found
        os.chdir(config.folder)
    if config.activated:
        # For Twisted's endpoints: the numbers are of the first process, the sockets are not.
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(config.activated))
    import_module(config.reactor).install()

    from twisted.internet import reactor

    from tcplab.server.processsetup import relaxGC
    from tcplab.workers.worker import Worker

    relaxGC()
    return Worker(config, reactor).run()


def _dropPrivileges() -> None:
    # After twistd --euid the first process may become root again. Who serves never needs that.
    if os.geteuid() != os.getuid():
        os.setresgid(os.getegid(), os.getegid(), os.getegid())
        os.setresuid(os.geteuid(), os.geteuid(), os.geteuid())


if __name__ == "__main__":
    sys.exit(main())
