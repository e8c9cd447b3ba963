"""
Take from Python what it lacks on macOS; with this folder in ``PYTHONPATH`` Python begins with it.

**Limit:** the kernel is still Linux. What macOS has under other names is not added.
"""

import builtins
import errno
import fcntl
import io
import mmap
import os
import re
import resource
import select
import signal
import socket
import sys
import time
from functools import partial
from types import SimpleNamespace

#: What no Python for macOS has, by the module.
LACKS = {
    select: "epoll|EPOLL",
    socket: (
        "(AF|PF)_(ALG|CAN|NETLINK|PACKET|QIPCRTR|RDS|TIPC|VSOCK)|AF_ASH|ALG_|CAN_|NETLINK_|PACKET_"
        "|TIPC_|VM|SOCK_(CLOEXEC|NONBLOCK)|MSG_(CMSG_CLOEXEC|CONFIRM|ERRQUEUE|FASTOPEN|MORE"
        "|NOSIGNAL)|SO_(BINDTODEVICE|DOMAIN|INCOMING_CPU|MARK|PASS|PEER|PRIORITY|PROTOCOL)"
        "|SCM_CREDENTIALS|TCP_(INFO|USER_TIMEOUT|KEEPIDLE|CONGESTION|CORK|DEFER_ACCEPT|LINGER2"
        "|QUICKACK|SYNCNT|WINDOW_CLAMP)|IP_(BIND_ADDRESS|FREEBIND|MTU|PKTINFO|TRANSPARENT)"
    ),
    os: (
        "eventfd|EFD_|memfd|MFD_|pidfd|P_PIDFD|pipe2|sched_|SCHED_|(s|g)etres|splice|SPLICE"
        "|posix_fa|POSIX_FADV|fdatasync|getrandom|GRND|setns|unshare|CLONE_|copy_file_range"
        "|.*xattr|XATTR|O_(DIRECT$|LARGEFILE|NOATIME|PATH|RSYNC|TMPFILE)|accept4|plock"
    ),
    signal: "sigtimedwait|sigwaitinfo|SIG(CLD|POLL|PWR|RT|STKFLT)|pidfd",
    resource: "prlimit|RLIMIT_(MSGQUEUE|NICE|OFILE|RT|SIGPENDING)",
    time: "CLOCK_(BOOTTIME|TAI)",
    fcntl: "F_((ADD_|GET_)?SEAL|(GET|SET)(LEASE|PIPE|SIG)|NOTIFY|OFD)",
    mmap: "MADV_(DO|HUGE|HWPOISON|MERGE|NOHUGE|REMOVE|UNMERGE)|MAP_(GROWS|LOCKED|POPULATE)",
}

#: Socket options that Linux has by these numbers, whatever Python calls them.
LINUX_ONLY = {(socket.IPPROTO_IP, 21), (socket.IPPROTO_IPV6, 73)}

#: Folders that macOS has not.
GONE = ("/proc/", "/sys/")

_open, _setsockopt = io.open, socket.socket.setsockopt


def _withoutProc(file: object, *args: object, **kwargs: object) -> object:
    if isinstance(file, str | os.PathLike) and os.fspath(file).startswith(GONE):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)
    return _open(file, *args, **kwargs)  # type: ignore[call-overload]


def _withoutTTL(sock: socket.socket, level: int, option: int, *value: object) -> None:
    if (level, option) in LINUX_ONLY:
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
    _setsockopt(sock, level, option, *value)  # type: ignore[arg-type]


for _module, _names in LACKS.items():
    for _name in list(vars(_module)):
        if re.match(_names, _name):
            delattr(_module, _name)
io.open = builtins.open = partial(_withoutProc)  # type: ignore[assignment]
socket.socket.setsockopt = _withoutTTL  # type: ignore[method-assign, assignment]
sys.platform = "darwin"
#: urllib asks it for proxies there.
_proxies = SimpleNamespace(_get_proxies=dict, _get_proxy_settings=dict)
sys.modules["_scproxy"] = _proxies  # type: ignore[assignment]
