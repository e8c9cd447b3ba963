"""Tests for `tcplab.listener.policy`."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.listener.listener import Listener
from tcplab.listener.policy import Policy, PolicyHooks, allAccept, call, firstRefusal
from tcplab.observers import Observers
from tcplab.testing import connected


class Admits(Policy):
    """Answer all questions in the same way, and keep what was asked."""

    def __init__(self, refusal: bytes | None, mayAccept: bool = True) -> None:
        self.refusal = refusal  # without super(): no policy needs it
        self.accepts = mayAccept
        self.asked: list[object] = []

    def admit(self, address: object) -> bytes | None:
        self.asked.append(address)
        return self.refusal

    def mayAccept(self) -> bool:
        return self.accepts


class Counts(Policy):
    """Keep the calls of the other hooks."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def connectionAccepted(self, transport: object) -> None:
        self.calls.append(("accepted", transport))

    def connectionOpened(self, transport: object) -> None:
        self.calls.append(("opened", transport))

    def connectionClosed(self, transport: object) -> None:
        self.calls.append(("closed", transport))

    def portAdded(self, listener: object) -> None:
        self.calls.append(("port", listener))

    def stopped(self) -> None:
        self.calls.append(("stopped", len(self.listeners)))


class Broken(Policy):
    """Fail in every hook."""

    def admit(self, address: object) -> bytes | None:
        raise RuntimeError

    def mayAccept(self) -> bool:
        raise RuntimeError

    def connectionClosed(self, transport: object) -> None:
        raise RuntimeError


class PolicyHooksTests(SynchronousTestCase):
    """Only what a class overrides is called, in the order in which policies were added."""

    def hooks(self, *policies: Policy) -> PolicyHooks:
        hooks = PolicyHooks()
        for each in policies:
            hooks.add(each)
        return hooks

    def test_overridden(self) -> None:
        """A method that is inherited from `Policy` costs a connection nothing."""
        admits, counts = Admits(None), Counts()
        hooks = self.hooks(Policy(), admits, counts)
        self.assertEqual(hooks.admit, [(admits, admits.admit)])
        self.assertEqual(hooks.mayAccept, [(admits, admits.mayAccept)])
        for name in ("accepted", "opened", "closed", "portAdded"):
            self.assertEqual([each for each, _ in getattr(hooks, name)], [counts])

    def test_removed(self) -> None:
        """A policy that is removed is called no more; one that is not there does no harm."""
        counts, other = Counts(), Counts()
        hooks = self.hooks(counts, other)
        for _ in range(2):
            hooks.remove(counts)
        call(hooks.closed, "transport")
        self.assertEqual((counts.calls, other.calls), ([], [("closed", "transport")]))
        self.assertEqual(hooks.policies, [other])

    def test_refusal(self) -> None:
        """The first refusal is the answer; an empty one is one too."""
        for refusal in (b"busy", b""):
            first, second, third = Admits(None), Admits(refusal), Admits(b"no")
            self.assertEqual(firstRefusal(self.hooks(first, second, third).admit, "a"), refusal)
            self.assertEqual((first.asked, third.asked), (["a"], []))
        self.assertIs(firstRefusal(self.hooks(Admits(None)).admit, "a"), None)
        wrong: Any = "busy"
        self.assertEqual(firstRefusal(self.hooks(Admits(wrong)).admit, "a"), b"")

    def test_mayAccept(self) -> None:
        """All policies must agree."""
        for answers in ((), (True,), (True, True), (True, False), (False, True)):
            hooks = self.hooks(*(Admits(None, each) for each in answers))
            self.assertEqual(allAccept(hooks.mayAccept), all(answers))

    def test_broken(self) -> None:
        """An exception in one hook is logged; the other policies are called."""
        counts = Counts()
        hooks = self.hooks(Broken(), Admits(b"busy", False), counts)
        self.assertEqual(firstRefusal(hooks.admit, "address"), b"busy")
        self.assertFalse(allAccept(hooks.mayAccept))
        call(hooks.closed, "transport")
        self.assertEqual(counts.calls, [("closed", "transport")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)


class PolicyTests(SynchronousTestCase):
    """A policy watches listeners, and leaves them."""

    def test_defaults(self) -> None:
        """A policy without hooks changes nothing."""
        policy: Any = Policy()
        self.assertEqual((policy.admit("address"), policy.mayAccept()), (None, True))
        for hook in (policy.portAdded, policy.connectionAccepted, policy.connectionOpened):
            self.assertIsNone(hook(None))
        self.assertEqual((policy.connectionClosed(None), policy.stopped()), (None, None))

    def test_watch(self) -> None:
        """Its hooks are called for open connections, oldest first, and for none twice."""
        peer, counts = connected(Protocol()), Counts()
        transport, listener = peer.transport, peer.listener
        peer.clock.advance(1)
        handshaking = connected(Protocol()).transport
        handshaking.established = False
        handshaking.accepted = -1.0
        listener.connections.add(handshaking)
        for _ in range(2):
            counts.watch(listener)
        there = [("accepted", handshaking), ("accepted", transport), ("opened", transport)]
        self.assertEqual((counts.calls, counts.listeners), (there, (listener,)))
        self.assertEqual(listener.policies, (counts,))

    def test_stop(self) -> None:
        """It leaves all listeners after a call of `stopped`, and may begin anew."""
        counts, listeners = Counts(), [Listener(name, Observers()) for name in "ab"]
        for each in listeners:
            counts.watch(each)
        counts.stop()
        self.assertEqual((counts.calls, counts.listeners), ([("stopped", 2)], ()))
        self.assertEqual([each.policies for each in listeners], [(), ()])
        counts.watch(listeners[0])
        self.assertEqual(listeners[0].policies, (counts,))

    def test_clock(self) -> None:
        """A clock that was given stays; else a port's is used."""
        given, offered = Clock(), Clock()
        for policy, clock in ((Policy(given), given), (Policy(), offered)):
            policy.useClock(offered)
            self.assertIs(policy.clock, clock)
