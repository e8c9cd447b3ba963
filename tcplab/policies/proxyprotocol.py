"""The PROXY protocol: the peer of a connection, where a load balancer connects for it."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcplab.listener.policy import Policy, PolicyListener
from tcplab.observers.throttle import ThrottledLog
from tcplab.policies.pendingconnections import PendingConnection, ProxyHeaderFilter
from tcplab.wire.names import PROXY_VERSIONS, UNIX
from tcplab.wire.reasons import Reason

log = Logger("tcplab.policies.proxyprotocol")

#: Connections without a complete header. The header arrives with the first segment. At 10,000
#: connections a second, of which a hundredth lose that segment and send it again, some 100 wait.
MAX_PENDING = 1000

_MAPPED = IPv6Network("::ffff:0:0/96")


class ProxyProtocol(Policy):
    """
    Take the peers of some listeners' connections from the PROXY headers of trusted proxies.

    Until the header is complete there is no protocol, greeting, report or count. Then it is as if
    the named peer had connected itself: the factory, ``getPeer()``, the log and the limits know no
    other. ``transport.proxy`` is the address of the proxy, and ``transport.announced`` the whole
    header. The local address stays that of the socket. A connection of the proxy itself
    (``LOCAL``), or for an unnamed peer (``UNKNOWN``), is the proxy's.

    A connection of an untrusted address, with anything but a header, or with a late one, is reset.
    The log has the address of the socket: ``why=header``, or ``why=handshake-timeout``. A
    connection that ends before its first byte is a health check, and not logged.

    While a listener is suspended, sockets with a complete header wait. When a listener drains,
    sockets without one are reset after a second.

    :param version: ``v1``, ``v2`` or ``any``: the expected version; the header is never optional.
    :param trusted: the proxies: addresses or networks (CIDR), and ``unix`` for what connects to a
        Unix socket.
    :param deadline: seconds for the header, from accept; ``None``: no limit. The specification
        requires 3 at least, which is what TCP takes to send a lost segment again.
    :param maxPending: connections that wait for their header; with one more the oldest is reset.
    :param clock: keeps the log to a line a second; ``None`` means the reactor of the first port.
    :ivar pending: the connections that wait for their header, in the order of accept.
    :raises ValueError: a value makes no sense, or there is no trusted proxy; the text is one line.
    """

    def __init__(
        self,
        version: str = "any",
        trusted: Iterable[str] = (),
        *,
        deadline: float | None = 5.0,
        maxPending: int = MAX_PENDING,
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
        self.maxPending = maxPending
        self.pending: dict[PendingConnection, None] = {}
        self._unix = UNIX in words
        self._networks = [networkOf(word) for word in words if word != UNIX]
        # The same few proxies connect again and again.
        self._trustsHost = functools.lru_cache(1024)(self._isListed)
        self._refusalLogs = {
            reason: ThrottledLog(self._logRefused, self)
            for reason in (Reason.HEADER, Reason.HANDSHAKE_TIMEOUT)
        }

    def watch(self, listener: PolicyListener) -> None:
        """Expect the header on every connection that this listener accepts from now on."""
        super().watch(listener)
        if listener.filter is None:
            listener.setFilter(
                ProxyHeaderFilter(
                    listener,
                    versions=self.versions,
                    deadline=self.deadline,
                    pending=self.pending,
                    maxPending=self.maxPending,
                    trusts=self.trusts,
                    onRefused=self._refused,
                )
            )

    def stopped(self) -> None:
        """Log the last counts, and cancel the timers."""
        for each in self._refusalLogs.values():
            each.flush()

    def trusts(self, address: object) -> bool:
        """Return whether the headers of an address count; the address as accept() gives it."""
        if isinstance(address, tuple):
            return self._trustsHost(address[0])
        return self._unix

    def _isListed(self, host: str) -> bool:
        address = ip_address(host.partition("%")[0])
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _refused(self, listener: str, address: object, reason: Reason, problem: str) -> None:
        self._refusalLogs[reason].count((listener, address, reason, problem))

    def _logRefused(self, count: int, last: tuple[str, object, Reason, str]) -> None:
        listener, address, reason, problem = last
        log.info(
            "refused={count} why={why} listener={listener} last={peer}: {problem}",
            log_system="tcplab",
            count=count,
            why=reason,
            listener=listener,
            peer=_formatted(address),
            problem=problem,
        )


def networkOf(word: str) -> IPv4Network | IPv6Network:
    """
    Read an address or a network.

    :raises ValueError: the word is neither; the text is one line.
    """
    try:
        network = ip_network(word.replace("[", "").replace("]", ""))
    except ValueError as e:
        raise ValueError(f"{e}: write an address or a network, as in 10.0.0.0/8") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError(f"{word}: an IPv4 peer is one on an IPv6 socket too: write it as IPv4")
    return network


def _formatted(address: object) -> str:
    if not isinstance(address, tuple):
        return UNIX
    host, port = address[:2]
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
