"""The names that users type, and the class of each."""

from __future__ import annotations

from tcplab.wire.framing import CRLF, Framing, Int32, Lines, Netstrings, Stream

#: The behaviours, by the name that ``--behaviour`` and ``--serve`` take: the class of each.
BEHAVIOURS: dict[str, str] = {
    "lab": "tcplab.protocols.LabConversation",
    "greeting": "tcplab.protocols.Greeting",
    "ack": "tcplab.protocols.Ack",
    "echo": "tcplab.protocols.Echo",
    "discard": "tcplab.protocols.Discard",
    "chargen": "tcplab.protocols.Chargen",
    "qotd": "tcplab.protocols.QuoteOfTheDay",
    "daytime": "tcplab.protocols.Daytime",
    "time": "tcplab.protocols.Time",
    "whoami": "tcplab.protocols.WhoAmI",
    "relay": "tcplab.protocols.Relay",
    "forward": "tcplab.protocols.Forward",
}

#: The versions of a PROXY header that ``--proxy-protocol`` takes: the numbers of each.
PROXY_VERSIONS: dict[str, frozenset[int]] = {
    "v1": frozenset((1,)),
    "v2": frozenset((2,)),
    "any": frozenset((1, 2)),
}

#: What ``--proxy-from`` takes, among networks, for the clients of a Unix socket.
UNIX = "unix"

#: The framings, by the name that ``framing=`` takes.
FRAMINGS: dict[str, type[Framing]] = {
    "stream": Stream,
    "lines": Lines,
    "crlf": CRLF,
    "netstrings": Netstrings,
    "int32": Int32,
}

#: The kinds of fault, by the name that ``--fault`` takes: the class of each.
FAULTS: dict[str, str] = {
    "latency": "tcplab.faults.Latency",
    "bandwidth": "tcplab.faults.Bandwidth",
    "slicer": "tcplab.faults.Slicer",
    "limit_data": "tcplab.faults.LimitData",
    "limit_time": "tcplab.faults.LimitTime",
    "timeout": "tcplab.faults.Timeout",
    "slow_close": "tcplab.faults.SlowClose",
    "reset_peer": "tcplab.faults.ResetPeer",
    "half_close": "tcplab.faults.HalfClose",
    "stall": "tcplab.faults.Stall",
    "corrupt": "tcplab.faults.Corrupt",
    "refuse": "tcplab.faults.Refuse",
    "hang": "tcplab.faults.Hang",
}
