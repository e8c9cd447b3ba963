"""Tests for `tcplab.policies.faults.covering`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.faults.covering import Beneath

NAMES = (
    "write",
    "writeSequence",
    "pauseProducing",
    "resumeProducing",
    "loseConnection",
    "loseWriteConnection",
    "registerProducer",
    "unregisterProducer",
)


class Recorder:
    """Notes what is called on it."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self._name = name
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES:
            raise AttributeError(name)
        return lambda *args: self._calls.append(f"{self._name}.{name}")


class Foreign:
    """A transport of another kind."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls


def _method(name: str) -> Any:
    def called(self: Any, *args: Any) -> None:
        self._calls.append(f"transport.{name}")

    return called


for _name in NAMES:
    setattr(Foreign, _name, _method(_name))


class Ours(Foreign):
    """One that asks."""


class CoveringTests(SynchronousTestCase):
    """A protocol's calls meet the filter; the filter's the transport."""

    def setUp(self) -> None:
        self.calls: list[str] = []
        self.filter = Recorder("filter", self.calls)

    def called(self, owner: Any) -> list[str]:
        self.calls.clear()
        for name in NAMES:
            getattr(owner, name)(*(("x", True) if name == "registerProducer" else ()))
        return [call.partition(".")[0] for call in self.calls]

    def test_covered(self) -> None:
        for kind in (Foreign, Ours):
            transport = kind(self.calls)
            before = dict(vars(transport))
            beneath = Beneath(transport)
            beneath.cover(self.filter)
            self.assertEqual(self.called(transport), ["filter"] * 8)
            self.assertEqual(self.called(beneath), ["transport"] * 8)
            beneath.uncover()
            self.assertEqual(vars(transport), before)
            self.assertEqual(self.called(transport), ["transport"] * 8)

    def test_ownMethod(self) -> None:
        """What was set on the instance before is set again."""
        transport: Any = Foreign(self.calls)
        write = transport.write = _method("own").__get__(transport)
        beneath = Beneath(transport)
        beneath.cover(self.filter)
        beneath.write(b"")
        self.assertEqual(self.calls, ["transport.own"])
        beneath.uncover()
        self.assertEqual(transport.write, write)

    def test_coveredAgain(self) -> None:
        """Whoever covers ours is left alone."""
        transport: Any = Foreign(self.calls)
        beneath = Beneath(transport)
        beneath.cover(self.filter)
        transport.write = None
        beneath.uncover()
        self.assertIsNone(transport.write)
