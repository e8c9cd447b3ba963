"""The PROXY protocol: who the peer is, where the one who connects is a load balancer."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.policy import Policy, PolicyListener
from tcplab.observers.throttle import ThrottledLog
from tcplab.policies.pendingconnections import PendingConnection, ProxyHeaderFilter
from tcplab.wire.names import PROXY_VERSIONS, UNIX
from tcplab.wire.reasons import Reason

log = Logger()

#: Who wait for their header at once. It comes with the first segment, so that even where that has
#: to be sent again at 10,000 connections a second, and a hundredth of them is lost, some 100 wait.
MOST = 1000

_MAPPED = IPv6Network("::ffff:0:0/96")


class ProxyProtocol(Policy):
    """
    Have those who connect to some listeners announced by their proxies, and by nobody else.

    Until the header is whole nobody is built, greeted, told of or counted. Then it is as if the
    announced peer had connected itself: the factory, ``getPeer()``, the log and the limits know no
    other. Only ``transport.proxy`` is the proxy's address, ``transport.announced`` is all that it
    said, and our own address stays our own. What a proxy connects for itself (``LOCAL``),
    or for it does not say whom (``UNKNOWN``), comes from the proxy.

    Who is not trusted, says anything else, or says it too late, is reset, with a line in the log
    that has the address of the socket: ``why=header``, or ``why=handshake-timeout``. Who leaves
    without a byte has only looked whether we are there.

    What has to wait because a listener is suspended waits behind its header. At the end of a
    listener who is not announced within a second is sent away.

    :param version: ``v1``, ``v2`` or ``any``: what is expected; nothing is guessed.
    :param trusted: the proxies: addresses or networks (CIDR), and ``unix`` for those who connect to
        a Unix socket.
    :param deadline: seconds for the header, from accept; ``None``: for ever. The specification asks
        for 3 at least, which is what TCP takes to send a lost segment again.
    :param most: who wait for their header at once: one more, and who has waited longest is reset.
    :param clock: keeps the log to a line a second; ``None`` means the reactor of the first port.
    :ivar waiting: who wait for their header.
    :raises ValueError: a value makes no sense, or nobody is trusted; the text is one line.
    """

    def __init__(
        self,
        version: str = "any",
        trusted: Iterable[str] = (),
        *,
        deadline: float | None = 5.0,
        most: int = MOST,
        clock: IReactorTime | None = None,
    ) -> None:
        super().__init__(clock)
        if version not in PROXY_VERSIONS:
            raise ValueError(f"{version}: there is {', '.join(PROXY_VERSIONS)}")
        if deadline is not None and not deadline > 0:
            raise ValueError(f"deadline must be more than 0 seconds, not {deadline}")
        words = list(trusted)
        if not words:
            raise ValueError("no proxy is trusted: name those that may announce peers")
        self.versions = PROXY_VERSIONS[version]
        self.deadline = deadline
        self.most = most
        self.waiting: dict[PendingConnection, None] = {}
        self._unix = UNIX in words
        self._networks = [networkOf(word) for word in words if word != UNIX]
        # The same few connect again and again.
        self._trustsHost = functools.lru_cache(1024)(self._trusted)
        self._refusals = {
            why: ThrottledLog(self._say, self) for why in (Reason.HEADER, Reason.HANDSHAKE_TIMEOUT)
        }

    def watch(self, listener: PolicyListener) -> None:
        """Expect the header from everyone who connects to this listener from now on."""
        super().watch(listener)
        if listener.filter is None:
            listener.setFilter(ProxyHeaderFilter(self, listener))

    def stopped(self) -> None:
        """Log at once what is not logged yet, and leave no timer behind."""
        for summary in self._refusals.values():
            summary.flush()

    # What the anterooms ask and tell

    def trusts(self, address: Any) -> bool:
        """Tell whether who connects from here is believed; an address as accept() gives it."""
        if isinstance(address, tuple):
            return self._trustsHost(address[0])
        return self._unix

    def _trusted(self, host: str) -> bool:
        address: Any = ip_address(host.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)

    def refused(self, listener: str, address: Any, why: Reason, problem: str) -> None:
        """Log that somebody was sent away."""
        self._refusals[why].count((listener, address, why, problem))

    def _say(self, count: int, last: tuple[str, Any, Reason, str]) -> None:
        listener, address, why, problem = last
        log.info(
            "refused={count} why={why} listener={listener} last={peer}: {problem}",
            log_system="tcplab",
            count=count,
            why=why,
            listener=listener,
            peer=_shown(address),
            problem=problem,
        )


def networkOf(word: str) -> IPv4Network | IPv6Network:
    """
    Read an address or a network.

    :raises ValueError: it is none; the text is one line.
    """
    try:
        network = ip_network(word)
    except ValueError as e:
        raise ValueError(f"{e}: write an address or a network, as in 10.0.0.0/8") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError(f"{word}: an IPv4 peer is one on an IPv6 socket too: write it as IPv4")
    return network


def _shown(address: Any) -> str:
    if not isinstance(address, tuple):
        return UNIX
    host, port = address[:2]
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
