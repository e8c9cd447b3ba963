"""Why this side ended a connection, or refused it."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """
    Our own cause, which the log prints as ``why=``.

    A reason is set before the end that it leads to; the first one that is set stays.
    """

    #: The conversation had finished, and the peer did not within ``lingerTimeout``.
    LINGER_TIMEOUT = "linger-timeout"
    #: More than ``maxUnsent`` bytes waited for a peer that does not read.
    UNREAD = "unread"
    #: A hook raised an exception, or the bytes are no message of the framing, or of TLS.
    ERROR = "error"
    #: The TLS handshake failed.
    HANDSHAKE = "handshake"
    #: The connection ended before the first byte of its TLS handshake, as that of a health check.
    PROBE = "probe"
    #: The TLS handshake, or a PROXY header, took too long.
    HANDSHAKE_TIMEOUT = "handshake-timeout"
    #: Neither side sent anything for too long.
    IDLE_TIMEOUT = "idle-timeout"
    #: The peer took too little of what waited for it, for too long.
    WRITE_TIMEOUT = "write-timeout"
    #: The PROXY header is malformed, or its sender is not trusted.
    HEADER = "header"
    #: The server that a conversation connects to cannot be reached, or has broken off.
    UPSTREAM = "upstream"
    #: The connection leads back to the listener that accepted it.
    LOOP = "loop"
    #: A fault ended it.
    FAULT = "fault"
    #: Memory was short, and the peer held some of it without progress.
    MEMORY = "memory"
    #: The server stopped, and the peer did not finish in time.
    DRAIN_TIMEOUT = "drain-timeout"
