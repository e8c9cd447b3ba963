"""Break the network on purpose, repeatably, for any Twisted server or client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcplab.exports import lazily

if TYPE_CHECKING:
    from tcplab.faults.fault import (
        Fault,
        ListenerFault,
        endField,
        faultField,
        integerField,
        sizeField,
        timeField,
    )
    from tcplab.faults.faults import Faults, NamedFault
    from tcplab.faults.kindlookup import KINDS
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
    from tcplab.faults.spec import FaultError, FaultSpec, Selection, Trigger, parseFault
    from tcplab.faults.stage import BufferingStage, End, Stage, StageContext

__all__ = [
    "KINDS",
    "Bandwidth",
    "BufferingStage",
    "Corrupt",
    "End",
    "Fault",
    "FaultError",
    "FaultSpec",
    "Faults",
    "HalfClose",
    "Hang",
    "Latency",
    "LimitData",
    "LimitTime",
    "ListenerFault",
    "NamedFault",
    "Refuse",
    "ResetPeer",
    "Selection",
    "Slicer",
    "SlowClose",
    "Stage",
    "StageContext",
    "Stall",
    "Timeout",
    "Trigger",
    "endField",
    "faultField",
    "integerField",
    "parseFault",
    "sizeField",
    "timeField",
]

_MODULES = {
    "fault": "Fault ListenerFault endField faultField integerField sizeField timeField",
    "faults": "Faults NamedFault",
    "kindlookup": "KINDS",
    "kinds.bandwidth": "Bandwidth",
    "kinds.corrupt": "Corrupt",
    "kinds.half_close": "HalfClose",
    "kinds.hang": "Hang",
    "kinds.latency": "Latency",
    "kinds.limit_data": "LimitData",
    "kinds.limit_time": "LimitTime",
    "kinds.refuse": "Refuse",
    "kinds.reset_peer": "ResetPeer",
    "kinds.slicer": "Slicer",
    "kinds.slow_close": "SlowClose",
    "kinds.stall": "Stall",
    "kinds.timeout": "Timeout",
    "spec": "FaultError FaultSpec Selection Trigger parseFault",
    "stage": "BufferingStage End Stage StageContext",
}

__getattr__ = lazily(
    __name__,
    {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names.split()},
)


def __dir__() -> list[str]:
    return __all__
