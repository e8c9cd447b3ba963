"""The names that users type, and what each stands for."""

from __future__ import annotations

from tcplab.wire.framing import CRLF, Framing, Lines, Stream
from tcplab.wire.lengthprefix import Int32, Netstrings

#: The framings, by the name that ``framing=`` takes.
FRAMINGS: dict[str, type[Framing]] = {
    "stream": Stream,
    "lines": Lines,
    "crlf": CRLF,
    "netstrings": Netstrings,
    "int32": Int32,
}

#: The kinds of fault, by the name that ``--fault`` takes: the class of each. Its module has the
#: kind's name, in `tcplab.faults.kinds`.
FAULTS: dict[str, str] = {
    "latency": "Latency",
    "bandwidth": "Bandwidth",
    "slicer": "Slicer",
    "limit_data": "LimitData",
    "limit_time": "LimitTime",
    "timeout": "Timeout",
    "slow_close": "SlowClose",
    "reset_peer": "ResetPeer",
    "half_close": "HalfClose",
    "stall": "Stall",
    "corrupt": "Corrupt",
    "refuse": "Refuse",
    "hang": "Hang",
}
