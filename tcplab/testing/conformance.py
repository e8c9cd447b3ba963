"""A conformance kit: checks that hold for every well-behaved protocol, whatever its peer does."""

from __future__ import annotations

import unittest
import warnings
from collections.abc import Callable
from typing import Any, overload

from twisted.internet.interfaces import IProtocol

from tcplab.testing.peer import Connectable, Peer, connected
from tcplab.wire.texts import notBytes

Expected = bytes | Callable[[bytes], bool]


@overload
def checkBehaviour(factory: Connectable, send: bytes, expect: Expected) -> None: ...
@overload
def checkBehaviour(
    testCase: unittest.TestCase, factory: Connectable, send: bytes, expect: Expected
) -> None: ...
def checkBehaviour(*arguments: Any, **named: Any) -> None:
    """
    Check that a behaviour loses nothing, ends, and leaves nothing behind.

    >>> checkBehaviour(Echo, b"hello", b"hello")

    Each check has a new connection. The peer sends the bytes in one piece, one by one, or with FIN
    behind the last one. It reads slowly, is silent, or resets. The server drains, or the protocol
    calls ``transport.loseConnection()``.

    ``factory`` is a protocol class or a factory; `connected` makes each connection from it.
    ``send`` is what the peer sends before it finishes. ``expect`` is the whole answer, or a
    function that tells whether an answer is right. A ``testCase`` before them is deprecated.

    **Limit:** the answer, and the end, may take 60 seconds of the clock in memory each.

    :raises AssertionError: a check has failed; the text begins with the name of the check.
    """
    if arguments and isinstance(arguments[0], unittest.TestCase):
        arguments = arguments[1:]
        _warn()
    elif named.pop("testCase", None) is not None:
        _warn()
    _checkAll(*arguments, **named)


def _warn() -> None:
    warnings.warn(
        "checkBehaviour(self, ...) is deprecated: write checkBehaviour(factory, send, expect)",
        DeprecationWarning,
        stacklevel=3,
    )


def _checkAll(factory: Connectable, send: bytes, expect: Expected) -> None:
    for name, value in (("send", send), ("expect", expect)):
        if not isinstance(value, bytes) and not (name == "expect" and callable(value)):
            raise notBytes(f"checkBehaviour(): {name}", value)
    if not isinstance(factory, type) and IProtocol.providedBy(factory):
        name = type(factory).__name__
        raise TypeError(f"each check has a new connection: give the class {name}, not {name}()")
    for check in _CHECKS:
        check(_Checker(check.__name__.strip("_"), expect), connected(factory), send)


class _Checker:
    """The assertions that the checks share."""

    def __init__(self, name: str, expect: Expected) -> None:
        self.name, self.expect = name, expect

    def checkAnswer(self, peer: Peer) -> None:
        self.waitForEnd(peer)
        value = peer.value()
        right = self.expect(value) if callable(self.expect) else value == self.expect
        self.check(right, f"the peer received {_shown(value)}, not {_shown(self.expect)}")

    def waitForEnd(self, peer: Peer) -> None:
        """Let a minute pass, in steps: one deadline may set the next."""
        for _ in range(60):
            if peer.ended:
                break
            peer.clock.advance(1.0)

    def checkGracefulEnd(self, peer: Peer) -> None:
        self.check(peer.ended, "the protocol did not finish")
        self.check(not peer.wasReset, f"the connection was reset ({peer.ending})")
        self.checkClosed(peer)

    def checkDrained(self, peer: Peer) -> None:
        self.check(peer.ended, "the protocol did not finish, although the server drains")

    def checkClosed(self, peer: Peer) -> None:
        self.check(not peer.connected, "the connection is still open")
        left = peer.clock.getDelayedCalls()
        self.check(not left, f"timers stay behind: {left}")

    def checkClosedUnaided(self, peer: Peer) -> None:
        """Let a minute pass in which the peer does nothing: the deadline must close."""
        peer.clock.pump([1.0] * 60)
        self.checkClosed(peer)

    def check(self, right: bool, otherwise: str) -> None:
        if not right:
            raise AssertionError(f"{self.name}: {otherwise}")


def _shown(answer: Expected) -> str:
    if isinstance(answer, bytes) and len(answer) > 200:
        return f"{answer[:200]!r}... ({len(answer)} bytes)"
    return repr(answer)


def _whole(checker: _Checker, peer: Peer, data: bytes) -> None:
    peer.write(data)
    peer.finish()
    checker.checkAnswer(peer)
    checker.checkGracefulEnd(peer)


def _bytewise(checker: _Checker, peer: Peer, data: bytes) -> None:
    for byte in data:
        peer.write(bytes([byte]))
    peer.finish()
    checker.checkAnswer(peer)
    checker.checkGracefulEnd(peer)


def _halfClosed(checker: _Checker, peer: Peer, data: bytes) -> None:
    peer.finish(data)
    checker.checkAnswer(peer)
    checker.checkGracefulEnd(peer)


def _slowReader(checker: _Checker, peer: Peer, data: bytes) -> None:
    peer.reading = False
    peer.window = 1
    peer.finish(data)
    for _ in range(100):
        peer.read(1)
    peer.window = 64 * 1024
    peer.resume()
    checker.checkAnswer(peer)
    checker.checkGracefulEnd(peer)


def _silentPeer(checker: _Checker, peer: Peer, data: bytes) -> None:
    # It sends all and never finishes: after a half-close the behaviour must not wait for ever.
    peer.write(data)
    checker.waitForEnd(peer)
    if peer.ended:
        checker.checkClosedUnaided(peer)
    peer.finish()
    checker.waitForEnd(peer)
    checker.checkClosed(peer)


def _reset(checker: _Checker, peer: Peer, data: bytes) -> None:
    peer.write(data[: len(data) // 2])
    peer.reset()
    checker.checkClosed(peer)


def _drained(checker: _Checker, peer: Peer, data: bytes) -> None:
    peer.write(data)
    peer.listener.drain()
    checker.waitForEnd(peer)
    checker.checkDrained(peer)
    peer.finish()
    checker.checkGracefulEnd(peer)


def _drainedAndSilent(checker: _Checker, peer: Peer, data: bytes) -> None:
    peer.write(data)
    peer.listener.drain()
    checker.waitForEnd(peer)
    checker.checkDrained(peer)
    checker.checkClosedUnaided(peer)


def _lost(checker: _Checker, peer: Peer, data: bytes) -> None:
    peer.reading = False
    peer.write(data)
    if peer.protocol.connected and peer.connected:
        peer.protocol.transport.loseConnection()
    if peer.connected:
        peer.write(data)  # on its way before the FIN arrived
    peer.resume()
    checker.waitForEnd(peer)
    checker.check(peer.ended, "loseConnection() did not close the connection")
    peer.finish()
    checker.checkGracefulEnd(peer)


_CHECKS = (
    _whole,
    _bytewise,
    _halfClosed,
    _slowReader,
    _silentPeer,
    _reset,
    _drained,
    _drainedAndSilent,
    _lost,
)
