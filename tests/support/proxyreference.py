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
    rf"PROXY (?:(?P<tcp4>TCP4) (?P<s4>{_IPV4}) (?P<d4>{_IPV4})"
    r"|(?P<tcp6>TCP6) (?P<s6>[^ ]{2,39}) (?P<d6>[^ ]{2,39}))"
    rf" (?P<sp>{_PORT}) (?P<dp>{_PORT})\r\n"
)


def _version1(data: bytes) -> tuple[Any, ...]:
    text = data[:107].decode("latin-1")
    line, end, _ = text.partition("\r\n")
    if not end:
        return MORE if _shortest(text) <= 107 else BAD
    taken = len(line) + 2
    if re.fullmatch("PROXY UNKNOWN(?: .*)?", line, re.DOTALL):
        return "ok", taken, (1, "PROXY", None, None, None, ())
    found = _LINE.fullmatch(line + end)
    if found is None:
        return BAD
    ports = int(found["sp"]), int(found["dp"])
    if found["tcp4"]:
        packed = [socket.inet_pton(socket.AF_INET, found[each]) for each in ("s4", "d4")]
    else:
        packed = [_sixteen(found[each]) for each in ("s6", "d6")]
    if b"" in packed:
        return BAD
    family = found["tcp4"] or found["tcp6"]
    places = [(each, port) for each, port in zip(packed, ports, strict=True)]
    return "ok", taken, (1, "PROXY", family, *places, ())


def _sixteen(text: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return b""


def _shortest(text: str) -> int:
    """Return how long the shortest valid line is that begins so, as one reads it; or very long."""
    never = 1000
    begin, end = "PROXY ", "\r\n"
    if text == begin[: len(text)]:
        return 15
    for family, address in (("TCP4 ", _moreOf4), ("TCP6 ", _moreOf6)):
        head = begin + family
        if text == head[: len(text)]:
            return 15
        if text.startswith(head):
            left = _moreOfFields(text[len(head) :], address)
            return never if left is None else len(text) + left
    head = begin + "UNKNOWN"
    if text == head[: len(text)] or text == head + "\r":
        return 15
    if text.startswith(head + " "):
        return len(text) + (1 if text.endswith("\r") else len(end))
    return never


def _moreOfFields(text: str, address: Any) -> int | None:
    """Count the characters that are missing: two addresses, two ports, CR LF."""
    kinds = [address, address, _moreOfPort, _moreOfPort]
    for number, kind in enumerate(kinds):
        last = number == 3
        field, found, text = text.partition("\r" if last else " ")
        left = kind(field)
        if left is None or (found and (left or (last and text))):
            return None
        if not found:
            rest = kinds[number + 1 :]
            return int(left + sum(1 + each("") for each in rest) + 2)
    return 1


def _moreOfPort(text: str) -> int | None:
    return 1 if not text else (0 if re.fullmatch(_PORT, text) else None)


def _moreOf4(text: str) -> int | None:
    numbers = text.split(".")
    *whole, last = numbers
    if len(numbers) > 4 or not all(re.fullmatch(_OCTET, each) for each in whole):
        return None
    if last and not re.fullmatch(_OCTET, last):
        return None
    return 2 * (4 - len(numbers)) + (not last)


def _moreOf6(text: str) -> int | None:
    left = _moreOf6OfAnyLength(text)
    return None if left is None or len(text) + left > 39 else left


def _moreOf6OfAnyLength(text: str) -> int | None:
    if text in ("", ":"):
        return 2 - len(text)
    if "." in text:
        return _moreOfDotted(text)
    if not re.fullmatch("[0-9a-fA-F:]*", text) or ":::" in text or text.count("::") > 1:
        return None
    if text[0] == ":" != text[1]:
        return None
    groups = [each for each in text.split(":") if each]
    if any(len(each) > 4 for each in groups):
        return None
    single = text.endswith(":") and not text.endswith("::")
    if "::" in text:
        return int(single) if len(groups) + single <= 7 else None
    if len(groups) + single > 8:
        return None
    return 1 if single else 0 if len(groups) == 8 else 2


def _moreOfDotted(text: str) -> int | None:
    head, colon, tail = text.rpartition(":")
    left = _moreOf4(tail)
    before = _moreOf6OfAnyLength(head + colon) if colon and "." not in head else None
    if left is None or before is None:
        return None
    groups = len([each for each in head.split(":") if each])
    fits = groups <= 5 if "::" in head + colon else groups == 6
    return left if fits else None


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
    if not data:
        return []
    if len(data) < 3:
        return None
    kind, length = struct.unpack_from("!BH", data)
    if len(data) < 3 + length:
        return None
    rest = _tlvs(data[3 + length :]) if len(data) < 1500 else _manyTLVs(data[3 + length :])
    return None if rest is None else [(kind, data[3 : 3 + length]), *rest]


def _manyTLVs(data: bytes) -> list[tuple[int, bytes]] | None:
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
