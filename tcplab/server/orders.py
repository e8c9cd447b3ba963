"""What a worker is started with, and what it is told afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tcplab.server.inherited import FIRST

#: Where a worker finds its `Orders`.
VARIABLE = "TCPLAB_WORKER"

#: What the first process says, a line each. That it says nothing more, because it is gone, is
#: `STOP`.
SERVE, LEAVE, STOP, ABORT = "serve", "leave", "stop", "abort"
#: What a worker says: it could serve, and it does.
READY, SERVES = "ready", "serves"
#: The status of a worker that cannot do what it was asked to (sysexits.h, EX_CONFIG).
REFUSED = 78


@dataclass(frozen=True)
class Orders:
    """
    What a worker is started with.

    :ivar words: the arguments of `tcplab.server.settings.fromWords`.
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
    def read(cls, text: str) -> Orders:
        """Read such a text."""
        found = json.loads(text)
        return cls(**{**found, "owned": tuple(found["owned"])})

    # The descriptors of a worker, after the standard three

    @property
    def given(self) -> list[int]:
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
