"""All faults there are, by name."""

from __future__ import annotations

from tcplab.faults.kinds.bandwidth import Bandwidth
from tcplab.faults.kinds.corrupt import Corrupt
from tcplab.faults.kinds.half_close import HalfClose
from tcplab.faults.kinds.hang import Hang
from tcplab.faults.kinds.latency import Latency
from tcplab.faults.kinds.limit_data import LimitData
from tcplab.faults.kinds.limit_time import LimitTime
from tcplab.faults.kinds.refuse import Refuse
from tcplab.faults.kinds.reset_peer import ResetPeer
from tcplab.faults.kinds.slicer import Slicer
from tcplab.faults.kinds.slow_close import SlowClose
from tcplab.faults.kinds.stall import Stall
from tcplab.faults.kinds.timeout import Timeout

__all__ = [
    "Bandwidth",
    "Corrupt",
    "HalfClose",
    "Hang",
    "Latency",
    "LimitData",
    "LimitTime",
    "Refuse",
    "ResetPeer",
    "Slicer",
    "SlowClose",
    "Stall",
    "Timeout",
]

_ALL = (
    Latency,
    Bandwidth,
    Slicer,
    LimitData,
    LimitTime,
    Timeout,
    SlowClose,
    ResetPeer,
    HalfClose,
    Stall,
    Corrupt,
    Refuse,
    Hang,
)

#: Each by the name that is typed.
KINDS = {kind.kind: kind for kind in _ALL}
