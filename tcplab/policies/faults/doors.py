"""Faults of a listener, before there is a connection: ``refuse`` and ``hang``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.policies.faults.fault import Fault


@dataclass(frozen=True)
class DoorFault(Fault):
    """A fault that nobody comes in through."""


@dataclass(frozen=True)
class Refuse(DoorFault):
    """Connections are refused (RST for the SYN), while the address stays ours."""

    kind: ClassVar[str] = "refuse"


@dataclass(frozen=True)
class Hang(DoorFault):
    """The connect itself times out: nobody answers the SYN."""

    kind: ClassVar[str] = "hang"
