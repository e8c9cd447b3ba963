"""What a worker is started with, and the commands it is sent afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_DONE

from tcplab.server.inheritedsockets import FIRST

#: Where a worker finds its `WorkerConfig`.
VARIABLE = "TCPLAB_WORKER"

#: What the first process says, a line each. That it says nothing more, because it is gone, is
#: `STOP`.
SERVE, LEAVE, STOP, ABORT = "serve", "leave", "stop", "abort"
#: What a worker says: it could serve, and it does.
READY, SERVES = "ready", "serves"
#: The status of a worker that cannot do what it was asked to (sysexits.h, EX_CONFIG).
EX_CONFIG = 78


@dataclass(frozen=True)
class WorkerConfig:
    """
    What a worker is started with.

    :ivar words: the arguments of `tcplab.config.settings.fromWords`.
    :ivar owned: for each socket whether it is the lab's own, to be shut down when that stops.
    :ivar row: in the scoreboard.
    :ivar reactor: the module that installs the reactor.
    :ivar folder: where the lab was started.
    :ivar activated: how many sockets systemd has given to the lab, for endpoints ``systemd:``.
    """

    words: Mapping[str, Any]
    owned: tuple[bool, ...]
    row: int
    reactor: str
    folder: str
    activated: int = 0

    def write(self) -> str:
        """Make a text of it."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> WorkerConfig:
        """Read such a text."""
        found = json.loads(text)
        return cls(**{**found, "owned": tuple(found["owned"])})

    # The descriptors of a worker, after the standard three

    @property
    def placeholders(self) -> list[int]:
        """Those which Twisted's endpoints ``systemd:`` ask for, and close: there is nothing."""
        return list(range(FIRST, FIRST + self.activated))

    @property
    def sockets(self) -> list[int]:
        """The ports."""
        first = FIRST + self.activated
        return list(range(first, first + len(self.owned)))

    @property
    def board(self) -> int:
        """The scoreboard."""
        return FIRST + self.activated + len(self.owned)

    @property
    def commands(self) -> int:
        """A pipe, in which it is told what to do."""
        return self.board + 1

    @property
    def reports(self) -> int:
        """A pipe, in which it says what it does."""
        return self.board + 2


class CommandReader(FileDescriptor):
    """
    Read lines.

    :param descriptor: the pipe's.
    :param reactor: runs it.
    :param onCommand: called with each word.
    :param onClosed: called when the other end is closed.
    """

    def __init__(
        self,
        descriptor: int,
        reactor: Any,
        onCommand: Callable[[str], object],
        onClosed: Callable[[], object],
    ) -> None:
        super().__init__(reactor)
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._onCommand = onCommand
        self._onClosed = onClosed
        self._begun = b""
        self.connected = 1

    def fileno(self) -> int:
        """Return the pipe's descriptor."""
        return self._descriptor

    def doRead(self) -> Any:
        """Obey what was said."""
        try:
            data = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return None
        if not data:
            return CONNECTION_DONE
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._onCommand(line.decode())
        return None

    def connectionLost(self, reason: Any) -> None:
        """Tell that nobody tells us anything any more."""
        super().connectionLost(reason)
        self._onClosed()
