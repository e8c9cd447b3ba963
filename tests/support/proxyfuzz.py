"""
Headers of the PROXY protocol, good ones and bad ones, and what two readers make of them.

``python -m tests.support.proxyfuzz 1000000 [SEED]`` compares as many, each in every cut.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
from typing import Any

from tcplab.wire.proxyheader import InetAddress, writeHeader
from tcplab.wire.proxyreader import HeaderReader, ProxyError
from tcplab.wire.proxytlvs import TLV
from tests.support.proxyreference import BAD, MORE, crc32c, verdict

VERSIONS = ((1, 2), (1,), (2,))


def read(parts: list[bytes], versions: tuple[int, ...] = (1, 2)) -> tuple[Any, ...]:
    """Return what our reader makes of these pieces, in the reference's words."""
    reader = HeaderReader(frozenset(versions))
    taken = 0
    try:
        for part in parts:
            taken += reader.feed(part)
    except ProxyError:
        return BAD
    header = reader.header
    if header is None:
        return MORE
    family = None if header.family == "UNKNOWN" else header.family
    places = [
        (each.host.packed, each.port) if isinstance(each, InetAddress) else each
        for each in (header.source, header.destination)
    ]
    tlvs = tuple((each.type, each.value) for each in header.tlvs)
    return "ok", taken, (header.version, header.command, family, *places, tlvs)


def differences(data: bytes, versions: tuple[int, ...] = (1, 2)) -> list[str]:
    """Compare both on every beginning of these bytes, fed whole and byte by byte; say where not."""
    wrong = []
    ours = HeaderReader(frozenset(versions))
    taken, failed = 0, False
    for size in range(min(len(data), 330) + 1):
        expected = verdict(data[:size], versions)
        if size:
            try:
                taken += ours.feed(data[size - 1 : size])
            except ProxyError:
                failed = True
        stepwise = "bad" if failed else "more" if ours.header is None else "ok"
        if stepwise != expected[0] or (stepwise == "ok" and taken != expected[1]):
            wrong.append(f"{data[:size]!r} byte by byte: {stepwise} {taken}, not {expected}")
        if size in (min(len(data), 330), len(data) // 2) and (
            got := read([data[:size]], versions)
        ) != (expected):
            wrong.append(f"{data[:size]!r}: {got}, not {expected}")
    if (got := read([data], versions)) != (expected := verdict(data, versions)):
        wrong.append(f"{data!r}: {got}, not {expected}")
    return wrong


# To make some


def header(chance: random.Random) -> bytes:
    """Make a valid header, by the writer or by hand."""
    return chance.choice((_written, _written, _line, _block))(chance)


def _host(chance: random.Random, version: int) -> str:
    packed = bytes(chance.choice((0, 0, 1, 9, 255, chance.randrange(256))) for _ in range(16))
    if version == 4:
        return socket.inet_ntop(socket.AF_INET, packed[:4])
    mapped = chance.random() < 0.2
    return socket.inet_ntop(
        socket.AF_INET6, bytes(10) + b"\xff\xff" + packed[:4] if mapped else packed
    )


def _port(chance: random.Random) -> int:
    return chance.choice((0, 1, 80, 65535, chance.randrange(65536)))


def _written(chance: random.Random) -> bytes:
    version = chance.choice((1, 2))
    kind = chance.choice(("inet", "inet", "inet", "unix", "none", "local"))
    more: dict[str, Any] = {}
    if kind == "inet":
        family = chance.choice((4, 6))
        places = [
            InetAddress.of(_host(chance, family).partition("%")[0], _port(chance)) for _ in "sd"
        ]
    elif kind == "unix" and version == 2:
        places = [chance.randbytes(chance.randrange(109)) for _ in "sd"]  # type: ignore[misc]
    else:
        return writeHeader(version, local=kind == "local" and version == 2)
    if version == 2:
        more = {"tlvs": _tlvs(chance), "checksum": chance.random() < 0.5}
    return writeHeader(version, *places, **more)


def _tlvs(chance: random.Random) -> list[TLV]:
    return [_tlv(chance) for _ in range(chance.choice((0, 0, 1, 2, 5)))]


def _tlv(chance: random.Random) -> TLV:
    text = chance.choice((b"", b"example.com", "grün".encode()))
    return chance.choice(
        (
            TLV(0x01, b"h2"),
            TLV(0x02, text),
            TLV(0x04, bytes(chance.randrange(9))),
            TLV(0x05, chance.randbytes(chance.choice((0, 16, 128)))),
            TLV(0x20, b"\1\0\0\0\0" + b"\x21\0\7TLSv1.3\x22" + struct.pack("!H", len(text)) + text),
            TLV(0x30, b"blue"),
            TLV(0xE0, chance.randbytes(chance.randrange(40))),
        )
    )


def _line(chance: random.Random) -> bytes:
    if chance.random() < 0.2:
        return b"PROXY UNKNOWN" + chance.choice((b"", b" ", b" \r", b" " + b"f" * 91)) + b"\r\n"
    version = chance.choice((4, 6))
    hosts = [_address(chance, version) for _ in "sd"]
    return f"PROXY TCP{version} {' '.join(hosts)} {_port(chance)} {_port(chance)}\r\n".encode()


def _address(chance: random.Random, version: int) -> str:
    if version == 4 or chance.random() < 0.5:
        return _host(chance, version)
    groups = [f"{chance.randrange(65536):x}".zfill(chance.choice((0, 4))) for _ in range(8)]
    if chance.random() < 0.5:
        start, end = sorted(chance.sample(range(9), 2))
        return f"{':'.join(groups[:start])}::{':'.join(groups[end:])}".upper()
    return ":".join(groups)


def _block(chance: random.Random) -> bytes:
    command = chance.choice((0x20, 0x21, 0x21, 0x21))
    family = chance.choice((0x00, 0x01, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x30, 0x31, 0x32))
    size = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}.get(family, 0)
    body = chance.randbytes(size)
    tlvs = _tlvs(chance) + [_oddTLV(chance) for _ in range(chance.choice((0, 0, 1, 2)))]
    body += b"".join(bytes([k]) + struct.pack("!H", len(v)) + v for k, v in tlvs)
    if command == 0x20 or not size:
        body += chance.randbytes(chance.choice((0, 3, 50)))
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    block = signature + bytes([command, family]) + struct.pack("!H", len(body)) + body
    if block.endswith(b"\3\0\4\0\0\0\0") and chance.random() < 0.7:
        block = block[:-4] + struct.pack("!I", crc32c(block))
    return block


def _oddTLV(chance: random.Random) -> TLV:
    """Make one that is refused, or that ends a checked header."""
    return chance.choice(
        (
            *(TLV(0x03, bytes(4)),) * 4,
            TLV(0x03, bytes(chance.choice((0, 3, 5)))),
            TLV(chance.choice((0x02, 0x30)), b"\xff\x00"),
            TLV(0x05, bytes(129)),
            TLV(0x20, chance.randbytes(chance.randrange(5))),
            TLV(0x20, bytes(5) + chance.choice((b"\x21", b"\x23\0\2\xc3\xa9", b"\x22\0\1\xe9"))),
            TLV(0x20, bytes(5) + b"\x21\0\1a\x21\0\1\xe9"),
        )
    )


_MEANT = [b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\xff"]
_MEANT += b"0 00 : :: . _ - + %1 6 65536 256 TCP4 TCP6 UNKNOWN PROXY g".split()


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change something about it, once or a few times."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((0, 1, 1, 2, 5)))
        put = chance.choice(
            (b"", chance.randbytes(1), chance.choice(_MEANT), chance.choice(_MEANT))
        )
        data = data[:at] + put + data[to:]
    return data


def case(chance: random.Random) -> bytes:
    """Make a header, whole or spoilt, with something behind it."""
    data = header(chance)
    if chance.random() < 0.7:
        data = mutated(data, chance)
    return data + chance.choice((b"", b"", b"hi\r\n", b"\x16\x03\x01", b"\r\n", data[:20]))


def fuzz(number: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Compare so many cases; return how many there were of each verdict, and what differed."""
    chance = random.Random(seed)
    counts = {"ok": 0, "bad": 0, "more": 0}
    wrong: list[str] = []
    for _ in range(number):
        data, versions = case(chance), chance.choice(VERSIONS)
        counts[verdict(data, versions)[0]] += 1
        wrong += differences(data, versions)
    return counts, wrong


if __name__ == "__main__":
    told, differing = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(told, len(differing), "differences", *differing[:20], sep="\n")
    sys.exit(bool(differing))
