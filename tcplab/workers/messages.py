"""What a worker is started with, and the commands that it is sent afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

from tcplab.config.optionparsers import Words
from tcplab.server.inheritedsockets import FIRST

#: The environment variable that holds the `WorkerConfig`.
VARIABLE = "TCPLAB_WORKER"

#: Commands of the supervisor, a line each. A closed pipe is `STOP`.
SERVE, LEAVE, STOP, ABORT = "serve", "leave", "stop", "abort"
#: States that a worker sends: it can serve, and it does.
READY, SERVES = "ready", "serves"
#: The exit status of a worker that cannot serve what was configured (sysexits.h).
EX_CONFIG = 78


@dataclass(frozen=True)
class WorkerConfig:
    """
    What a worker is started with.

    :ivar words: the arguments of `tcplab.config.options.fromWords`.
    :ivar owned: for each socket whether the lab has bound it, and shuts it down at its end.
    :ivar row: its row of the scoreboard.
    :ivar reactor: the module that installs the reactor.
    :ivar folder: where the lab was started.
    :ivar activated: how many sockets systemd has given to the lab, for endpoints ``systemd:``.
    """

    words: Mapping[str, Words]
    owned: tuple[bool, ...]
    row: int
    reactor: str
    folder: str
    activated: int = 0

    def write(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> WorkerConfig:
        """Make it of such a text."""
        found = json.loads(text)
        return cls(**{**found, "owned": tuple(found["owned"])})

    # The descriptors of a worker, after the standard three

    @property
    def placeholders(self) -> list[int]:
        """The descriptors that Twisted's ``systemd:`` endpoints close: all are ``/dev/null``."""
        return list(range(FIRST, FIRST + self.activated))

    @property
    def sockets(self) -> list[int]:
        """The listening sockets."""
        first = FIRST + self.activated
        return list(range(first, first + len(self.owned)))

    @property
    def board(self) -> int:
        """The scoreboard."""
        return FIRST + self.activated + len(self.owned)

    @property
    def commands(self) -> int:
        """The pipe of its commands."""
        return self.board + 1

    @property
    def reports(self) -> int:
        """The pipe of its log and states."""
        return self.board + 2


class CommandReader(FileDescriptor):
    """
    Read the commands of the supervisor.

    :param descriptor: the pipe's.
    :param reactor: runs it.
    :param onCommand: called with each command.
    :param onClosed: called when the other end is closed.
    """

    def __init__(
        self,
        descriptor: int,
        reactor: IReactorFDSet,
        onCommand: Callable[[str], object],
        onClosed: Callable[[], object],
    ) -> None:
        super().__init__(reactor)
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._onCommand = onCommand
        self._onClosed = onClosed
        self._partial = b""
        self.connected = 1

    def fileno(self) -> int:
        """Return the pipe's descriptor."""
        return self._descriptor

    def doRead(self) -> Exception | None:
        """Read commands; an exception tells the reactor that the pipe is closed."""
        try:
            data = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return None
        if not data:
            return CONNECTION_DONE
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._onCommand(line.decode())
        return None

    def connectionLost(self, reason: Failure) -> None:
        """Report that the pipe is closed: the supervisor has exited."""
        super().connectionLost(reason)
        self._onClosed()
