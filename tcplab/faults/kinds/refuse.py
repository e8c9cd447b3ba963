"""The fault ``refuse``: connections are refused while the address stays ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import ListenerFault


@dataclass(frozen=True)
class Refuse(ListenerFault):
    """Connections are refused (RST for the SYN), while the address stays ours."""

    kind: ClassVar[str] = "refuse"
