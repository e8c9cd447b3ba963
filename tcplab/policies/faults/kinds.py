"""All faults there are, by name."""

from __future__ import annotations

from tcplab.policies.faults.bandwidth import Bandwidth
from tcplab.policies.faults.corrupt import Corrupt
from tcplab.policies.faults.delaying import Latency, SlowClose
from tcplab.policies.faults.doors import Hang, Refuse
from tcplab.policies.faults.ending import HalfClose, ResetPeer, Timeout
from tcplab.policies.faults.fault import Fault
from tcplab.policies.faults.limits import LimitData, LimitTime
from tcplab.policies.faults.slicer import Slicer
from tcplab.policies.faults.stall import Stall

_ALL: tuple[type[Fault], ...] = (
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
KINDS: dict[str, type[Fault]] = {kind.kind: kind for kind in _ALL}
