"""
A second reading of the PROXY protocol's specification: slow, whole headers only, other means.

Written from HAProxy's ``doc/proxy-protocol.txt`` with regular expressions, ``inet_pton`` and
``struct``; nothing is shared with the code under test, not even its values.
"""

from __future__ import annotations

import re
import socket
import struct
from typing import Any

MORE: tuple[Any, ...] = ("more",)
BAD: tuple[Any, ...] = ("bad",)


def verdict(data: bytes, versions: tuple[int, ...] = (1, 2)) -> tuple[Any, ...]:
    """
    Judge the beginning of a connection.

    :return: `MORE`: it may become valid; `BAD`: never; or ``("ok", bytes, header)``.
    """
    found = [_version1(data)] if 1 in versions else []
    found += [_version2(data)] if 2 in versions else []
    return next((each for each in found if each != BAD), BAD)


# 2.1. Human-readable header format (Version 1)

_OCTET = r"(?:0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"
_PORT = (
    r"(?:0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)
_IPV4 = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
_LINE = re.compile(
    rf"PROXY (?:(?P<tcp4>TCP4) (?P<s4>{_IPV4})|(?P<tcp6>TCP6) (?P<s6>[^ ]{{2,39}}))"
    rf" (?:(?P<d4>{_IPV4})|(?P<d6>[^ ]{{2,39}}))"  # of either family, as nginx writes it
    rf" (?P<sp>{_PORT}) (?P<dp>{_PORT})"
)


_TO = ("0.0.0.0", "::", "::0.0.0.0")
_PLACES = [f"{by} {to}" for by in ("TCP4 0.0.0.0", "TCP6 ::", "TCP6 ::0.0.0.0") for to in _TO]
_LINES = ("PROXY UNKNOWN\r\n", *(f"PROXY {each} 0 0\r\n" for each in _PLACES))


def _version1(data: bytes) -> tuple[Any, ...]:
    text = data[:107].decode("latin-1")
    line, end, _ = text.partition("\r\n")
    if end:
        return _line(line)
    # It may become valid if it does with the end of one of these lines instead of its own.
    similar = (each for each in _LINES if each[:11] == text[:11] or each.startswith(text))
    for line in similar:
        for at in range(len(line) - 1, -1, -1):
            whole = text + line[at:]
            if len(whole) <= 107 and whole.endswith("\r\n") and _line(whole[:-2]) != BAD:
                return MORE
    return BAD


def _line(line: str) -> tuple[Any, ...]:
    taken = len(line) + 2
    if re.fullmatch("PROXY UNKNOWN(?: .*)?", line, re.DOTALL):
        return "ok", taken, (1, "PROXY", None, None, None, ())
    found = _LINE.fullmatch(line)
    if found is None:
        return BAD
    ports = int(found["sp"]), int(found["dp"])
    try:
        packed = [
            socket.inet_pton(socket.AF_INET if found[four] else socket.AF_INET6, found[four] or six)
            for four, six in (("s4", found["s6"]), ("d4", found["d6"]))
        ]
    except (OSError, ValueError):
        return BAD
    family = found["tcp4"] or found["tcp6"]
    places = [(each, port) for each, port in zip(packed, ports, strict=True)]
    return "ok", taken, (1, "PROXY", family, *places, ())


# 2.2. Binary header format (version 2)

_SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
_FAMILIES = {0x1: 4, 0x2: 16, 0x3: 108}
_MOST = 4096


def _version2(data: bytes) -> tuple[Any, ...]:
    for number, byte in enumerate(data[:12]):
        if byte != _SIGNATURE[number]:
            return BAD
    command = transport = family = 0
    if len(data) >= 13:
        version, command = divmod(data[12], 16)
        if version != 2 or command not in (0, 1):
            return BAD
    if len(data) >= 14 and command == 1:
        family, transport = divmod(data[13], 16)
        if family not in (0, 1, 2, 3) or transport not in (0, 1, 2):
            return BAD
    size = 2 * _FAMILIES.get(family, 0) + (4 if family in (1, 2) else 0) if transport else 0
    if len(data) >= 15:
        possible = {data[14] * 256 + low for low in ([data[15]] if len(data) > 15 else range(256))}
        if not any(size <= each <= _MOST - 16 for each in possible):
            return BAD
    if len(data) < 16:
        return MORE
    (length,) = struct.unpack_from("!H", data, 14)
    if len(data) < 16 + length:
        return MORE
    if command == 0:
        return "ok", 16 + length, (2, "LOCAL", None, None, None, ())
    if not size:
        return "ok", 16 + length, (2, "PROXY", None, None, None, ())
    return _addressed(data[: 16 + length], family, transport, size)


def _addressed(header: bytes, family: int, transport: int, size: int) -> tuple[Any, ...]:
    if family == 3:
        fields = struct.unpack_from("108s108s", header, 16)
        source, destination = (_path(each) for each in fields)
        name = {1: "UNIX", 2: "UNIX-DGRAM"}[transport]
    else:
        width = _FAMILIES[family]
        s, d, sp, dp = struct.unpack_from(f"!{width}s{width}sHH", header, 16)
        source, destination = (s, sp), (d, dp)
        name = {1: "TCP", 2: "UDP"}[transport] + {1: "4", 2: "6"}[family]
    tlvs = _tlvs(header[16 + size :])
    if tlvs is None or not _checked(header, 16 + size, tlvs):
        return BAD
    told = tuple(each for each in tlvs if each[0] not in (3, 4))
    return "ok", len(header), (2, "PROXY", name, source, destination, told)


def _path(field: bytes) -> bytes:
    if field[0]:
        return field[: (field + b"\0").index(0)]
    while field.endswith(b"\0"):
        field = field[:-1]
    return field


def _tlvs(data: bytes) -> list[tuple[int, bytes]] | None:
    found: list[tuple[int, bytes]] = []
    while data:
        length = int.from_bytes(data[1:3], "big")
        if len(data) < 3 + length:
            return None
        found.append((data[0], data[3 : 3 + length]))
        data = data[3 + length :]
    return found


def _checked(header: bytes, start: int, tlvs: list[tuple[int, bytes]]) -> bool:
    texts = {2: "utf-8", 0x30: "ascii"}
    sums = []
    for kind, value in tlvs:
        if kind in texts and not _isText(value, texts[kind]):
            return False
        if kind == 5 and len(value) > 128:
            return False
        if kind == 0x20 and not _checkedSSL(value):
            return False
        if kind == 3:
            sums.append((start + 3, value))
        start += 3 + len(value)
    if not sums:
        return True
    at, value = sums[0]
    if len(sums) > 1 or len(value) != 4:
        return False
    zeroed = bytearray(header)
    zeroed[at : at + 4] = b"\0\0\0\0"
    return struct.pack("!I", crc32c(bytes(zeroed))) == value


def _checkedSSL(value: bytes) -> bool:
    inner = _tlvs(value[5:]) if len(value) >= 5 else None
    if inner is None:
        return False
    first: dict[int, bytes] = {}
    for kind, text in reversed(inner):
        first[kind] = text
    return all(
        _isText(text, "utf-8" if kind == 0x22 else "ascii")
        for kind, text in first.items()
        if 0x21 <= kind <= 0x25
    )


def _isText(value: bytes, encoding: str) -> bool:
    return value.decode(encoding, "replace").encode(encoding, "replace") == value


def crc32c(data: bytes) -> int:
    """Divide bit by bit: RFC 4960, Appendix B, with the polynomial 0x1EDC6F41."""
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            carry = (register >> 31) ^ (byte >> bit & 1)
            register = (register << 1) & 0xFFFFFFFF
            if carry:
                register ^= 0x1EDC6F41
    return int(f"{register ^ 0xFFFFFFFF:032b}"[::-1], 2)
