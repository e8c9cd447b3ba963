"""Listening addresses: as the port file has them, as people read them, and who can reach them."""

from __future__ import annotations

import os
from ipaddress import ip_address

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress


def placeOf(host: IAddress) -> tuple[str, str]:
    """Give a listening address as the port file has it: host and port, or ``unix`` and the path."""
    if isinstance(host, UNIXAddress):
        return "unix", _path(host)
    return str(getattr(host, "host", host)), str(getattr(host, "port", "-"))


def shownAs(host: IAddress) -> str:
    """Write a listening address for people: ``127.0.0.1:80``, ``[::1]:80``, a path."""
    first, second = placeOf(host)
    if isinstance(host, UNIXAddress):
        return second
    return f"[{first}]:{second}" if ":" in first else f"{first}:{second}"


def reachOf(host: IAddress) -> str:
    """Say who can reach a listening address."""
    if isinstance(host, UNIXAddress):
        return "reachable by local users who may open it"
    try:
        address = ip_address(str(getattr(host, "host", "")))
    except ValueError:
        return "reachable by whoever the endpoint lets in"
    if address.is_loopback:
        return "reachable from this machine only"
    if address.is_unspecified:
        return "reachable from every network this machine is on"
    return f"reachable by whoever can reach {address}"


def _path(host: UNIXAddress) -> str:
    name = host.name or b""
    return "@" + os.fsdecode(name[1:]) if name.startswith(b"\0") else os.fsdecode(name)
