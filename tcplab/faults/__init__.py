"""Faults: break the network on purpose, repeatably, for any Twisted server or client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcplab import lazily

if TYPE_CHECKING:
    from tcplab.faults.faults import Faults, NamedFault
    from tcplab.faults.kinds import KINDS
    from tcplab.faults.parse import parseFault
    from tcplab.faults.spec import FaultError, FaultSpec

__all__ = ["KINDS", "FaultError", "FaultSpec", "Faults", "NamedFault", "parseFault"]

__getattr__ = lazily(
    __name__,
    {
        "FaultError": "tcplab.faults.spec",
        "FaultSpec": "tcplab.faults.spec",
        "Faults": "tcplab.faults.faults",
        "KINDS": "tcplab.faults.kinds",
        "NamedFault": "tcplab.faults.faults",
        "parseFault": "tcplab.faults.parse",
    },
)
