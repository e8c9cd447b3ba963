"""The fault ``hang``: a SYN is not answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.fault import ListenerFault


@dataclass(frozen=True)
class Hang(ListenerFault):
    """The connect itself times out: nobody answers the SYN."""

    kind: ClassVar[str] = "hang"
