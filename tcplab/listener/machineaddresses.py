"""The addresses at which other machines can reach this one."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

# From <linux/sockios.h>: the IPv4 address of an interface. It begins at this byte of the answer.
_SIOCGIFADDR, _ADDRESS = 0x8915, 20
_INTERFACES_V6 = "/proc/net/if_inet6"


def machineAddresses(ipv6: bool) -> list[str]:
    """
    Return the addresses of this machine, without those of loopback and of a link only.

    **Limit:** of an interface with several IPv4 addresses only the first is found. Where the system
    is not Linux none is found.

    :param ipv6: return IPv6 addresses too.
    """
    if sys.platform != "linux":
        return []
    found = [*_ipv4(), *(_ipv6() if ipv6 else ())]
    return [each for each in found if not ip_address(each).is_loopback]


def _ipv4() -> list[str]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with suppress(OSError):  # it has none
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, request)
                found.append(socket.inet_ntoa(answer[_ADDRESS : _ADDRESS + 4]))
    return found


def _ipv6() -> list[str]:
    found = []
    with suppress(OSError), open(_INTERFACES_V6) as lines:
        for line in lines:
            digits, _, _, scope, *_ = line.split()
            if scope == "00":  # global
                found.append(str(IPv6Address(int(digits, 16))))
    return found
