"""A conformance kit: does a behaviour keep its manners, whatever its peer does?"""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from tcplab.testing.peer import Peer, connected

Expected = bytes | Callable[[bytes], bool]


def checkBehaviour(testCase: unittest.TestCase, factory: Any, say: bytes, expect: Expected) -> None:
    """
    Check that a behaviour keeps its manners, with a new connection for each check.

    Small pieces, a half-close behind the last byte, a reader that is slow, a reset, a drain, a
    ``transport.loseConnection()`` out of habit: nothing may be lost, hang, or stay behind.
    An answer, and an end, may take a minute of the clock in memory.

    :param factory: what `connected` takes for each new connection: a factory or a protocol class.
    :param say: what the peer says before it finishes.
    :param expect: all that it must be told, or a function that tells whether it was.
    :raises AssertionError: through the test case, naming the check that failed.
    """
    for check in _CHECKS:
        check(_Checker(testCase, check.__name__.strip("_"), expect), connected(factory), say)


class _Checker:
    """What every check asks at its end."""

    def __init__(self, testCase: unittest.TestCase, name: str, expect: Expected) -> None:
        self.testCase, self.name, self.expect = testCase, name, expect

    def answered(self, peer: Peer) -> None:
        self.patient(peer)
        value = peer.value()
        right = self.expect(value) if callable(self.expect) else value == self.expect
        self._demand(right, f"the peer was told {_shown(value)}, not {_shown(self.expect)}")

    def patient(self, peer: Peer) -> None:
        """Give it a minute to end, in steps: one deadline may set the next."""
        for _ in range(60):
            if peer.ended:
                break
            peer.clock.advance(1.0)

    def politelyOver(self, peer: Peer) -> None:
        self._demand(peer.ended, "the peer was not told the end")
        self._demand(not peer.wasReset, f"the connection was reset ({peer.ending})")
        self.over(peer)

    def drained(self, peer: Peer) -> None:
        self._demand(peer.ended, "it goes on, although it was told to drain")

    def over(self, peer: Peer) -> None:
        self._demand(not peer.connected, "the connection is still there")
        left = peer.clock.getDelayedCalls()
        self._demand(not left, f"timers stay behind: {left}")

    def overAlone(self, peer: Peer) -> None:
        """The peer does nothing about it: another minute for the deadline."""
        peer.clock.pump([1.0] * 60)
        self.over(peer)

    def _demand(self, right: bool, otherwise: str) -> None:
        self.testCase.assertTrue(right, f"{self.name}: {otherwise}")


def _shown(words: Expected) -> str:
    if isinstance(words, bytes) and len(words) > 200:
        return f"{words[:200]!r}... ({len(words)} bytes)"
    return repr(words)


def _whole(manners: _Checker, peer: Peer, say: bytes) -> None:
    peer.write(say)
    peer.finish()
    manners.answered(peer)
    manners.politelyOver(peer)


def _bytewise(manners: _Checker, peer: Peer, say: bytes) -> None:
    for byte in say:
        peer.write(bytes([byte]))
    peer.finish()
    manners.answered(peer)
    manners.politelyOver(peer)


def _halfClosed(manners: _Checker, peer: Peer, say: bytes) -> None:
    peer.finish(say)
    manners.answered(peer)
    manners.politelyOver(peer)


def _slowReader(manners: _Checker, peer: Peer, say: bytes) -> None:
    peer.reading = False
    peer.window = 1
    peer.finish(say)
    for _ in range(100):
        peer.read(1)
    peer.window = 64 * 1024
    peer.resume()
    manners.answered(peer)
    manners.politelyOver(peer)


def _silentPeer(manners: _Checker, peer: Peer, say: bytes) -> None:
    # It says all and never finishes: whoever has hung up on it must not wait for ever.
    peer.write(say)
    manners.patient(peer)
    if peer.ended:
        manners.overAlone(peer)
    peer.finish()
    manners.patient(peer)
    manners.over(peer)


def _reset(manners: _Checker, peer: Peer, say: bytes) -> None:
    peer.write(say[: len(say) // 2])
    peer.reset()
    manners.over(peer)


def _drained(manners: _Checker, peer: Peer, say: bytes) -> None:
    peer.write(say)
    peer.listener.drain()
    manners.patient(peer)
    manners.drained(peer)
    peer.finish()
    manners.politelyOver(peer)


def _drainedAndSilent(manners: _Checker, peer: Peer, say: bytes) -> None:
    peer.write(say)
    peer.listener.drain()
    manners.patient(peer)
    manners.drained(peer)
    manners.overAlone(peer)


def _lost(manners: _Checker, peer: Peer, say: bytes) -> None:
    peer.reading = False
    peer.write(say)
    if peer.protocol.connected and peer.connected:
        peer.protocol.transport.loseConnection()
    if peer.connected:
        peer.write(say)  # it had not heard of that
    peer.resume()
    manners.patient(peer)
    manners._demand(peer.ended, "loseConnection() did not end it")
    peer.finish()
    manners.politelyOver(peer)


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
