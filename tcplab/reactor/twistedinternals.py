"""
The private parts of Twisted that tcplab uses, all of them, by the package that uses them.

No deprecation announces a change of these. A new release of Twisted that lacks one is found by one
test, which names it. The eager reactor checks its own at run time. Without one of them Twisted's
reactor is used.
"""

from __future__ import annotations

from types import FunctionType

from twisted.python.reflect import namedAny

#: The user of the group that the eager reactor and its transports cannot do without.
EAGER = "tcplab.reactor.eager"

#: By package or module of tcplab: the owner and the names that are used of it. Some names have no
#: underscore, and are in no interface either.
USED: dict[str, dict[str, str]] = {
    EAGER: {
        "socket.socket": "_accept",
        "twisted.internet.abstract.FileDescriptor": (
            "_closeWriteConnection _maybePauseProducer _tempDataBuffer _tempDataLen"
            " _writeDisconnected _writeDisconnecting dataBuffer offset"
        ),
        "twisted.internet.base": "_topHandler",
        "twisted.internet.epollreactor.EPollReactor": (
            "_disconnectSelectable _doReadOrWrite _justStopped _newTimedCalls _pendingTimedCalls"
            " _poller _reads _selectables _started _writes runUntilCurrent threadCallQueue timeout"
        ),
        "twisted.internet.tcp.BaseClient": "_connectDone",
        "twisted.internet.tcp.Connection": "_aborting _dataReceived",
        "twisted.internet.tcp.Connector": "_makeTransport",
        "twisted.internet.tcp.Port": "_buildAddr",
        "twisted.internet.unix.Connector": "_makeTransport",
        "twisted.internet.unix.Server": "_sendmsgQueue",
    },
    "tcplab.reactor": {
        "twisted.internet._newtls": "_BypassTLS",
        "twisted.internet._producer_helpers._PullToPush": "_coopTask _pull",
        "twisted.internet.endpoints": ("_WrappingFactory _WrappingProtocol _parseTrustRootPath"),
        "twisted.internet.endpoints._WrappingProtocol": "_wrappedProtocol",
        "twisted.internet.stdio.StandardIO": "_reader",
        "twisted.internet.ssl.CertificateOptions": "_acceptableProtocols",
        "twisted.internet.tcp.Port": "_type",
        "twisted.internet.tcp.BaseClient": "_shouldShutdown",
        "twisted.internet.tcp.Server": "_tlsClientDefault",
        "twisted.protocols.tls._AggregateSmallWrites": "_clock",
        "twisted.protocols.tls.BufferingTLSTransport": (
            "_aborted _aggregator _appSendBuffer _checkHandshakeStatus _flushReceiveBIO"
            " _flushSendBIO _handshakeDone _lostTLSConnection _producer _reason _shutdownTLS"
            " _tlsConnection _tlsShutdownFinished _unbufferPendingWrites"
        ),
    },
    "tcplab.listener": {
        "twisted.internet.tcp.Port": "_buildAddr",
        "twisted.internet.tcp.Server": (
            "_addressType _closeSocket _closeWriteConnection _realPortNumber _shouldShutdown"
            " _tempDataBuffer _tempDataLen"
        ),
        "twisted.internet.unix.Server": "_ancillaryLevelSOLSOCKETTypeSCMRIGHTS",
    },
    "tcplab.faults": {
        "twisted.protocols.tls._ProducerMembrane": "_producerPaused",
        "twisted.protocols.tls.BufferingTLSTransport": "_aggregator _appSendBuffer _producer",
    },
    "tcplab.observers": {
        "twisted.logger.FileLogObserver": "_outFile",
        "twisted.logger.FilteringLogObserver": "_observer",
    },
    "tcplab.server": {
        "twisted.internet.endpoints.SSL4ServerEndpoint": "_sslContextFactory",
        "twisted.internet.ssl.CertificateOptions": "_acceptableProtocols _cipherString",
        "twisted.internet.tcp.Port": (
            "_logConnectionLostMsg _preexistingSocket _realPortNumber _shouldShutdown"
        ),
        "twisted.internet.unix.Port": "_bindPath",
        "twisted.protocols._sni.TLSServerEndpoint": "connectionCreator",
    },
    "tcplab.testing": {"twisted.internet.tcp.Server": "_closeSocket"},
    "tcplab.workers": {"twisted.internet.tcp.Port": "_shouldShutdown"},
}


def missing(user: str = EAGER) -> list[str]:
    """Return what this Twisted lacks of what one of the `USED` relies on, each by its full name."""
    return [
        f"{owner}.{name}"
        for owner, names in USED[user].items()
        for name in names.split()
        if not has(_found(owner), name)
    ]


def _found(owner: str) -> object:
    try:
        return namedAny(owner)
    except (AttributeError, ImportError):
        return None


def has(owner: object, name: str) -> bool:
    """
    Tell whether a module or class has a name, or the instances of a class once they are made.

    **Limit:** an instance counts as having a name that any method of its class mentions.
    """
    if hasattr(owner, name):
        return True
    functions = [
        each
        for kind in (owner.__mro__ if isinstance(owner, type) else ())
        for each in vars(kind).values()
        if isinstance(each, FunctionType)
    ]
    return any(name in each.__code__.co_names for each in functions)
