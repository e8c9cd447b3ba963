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
