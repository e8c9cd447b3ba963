"""A result that several callers may await, each with a Deferred of its own."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

_Result = TypeVar("_Result")


class OneShot(Generic[_Result]):
    """
    A result that is awaited any number of times, before and after it is there.

    A Deferred of `wait` may be cancelled: the result and the other Deferreds are not affected.

    **Limit:** a failure that is never awaited is not logged.

    :ivar fired: the result is there.
    """

    __slots__ = ("_result", "_waiting", "fired")

    _result: _Result | Failure

    def __init__(self) -> None:
        self._waiting: list[Deferred[_Result]] = []
        self.fired = False

    def wait(self) -> Deferred[_Result]:
        """Return a new Deferred, which fires with the result or its failure."""
        deferred: Deferred[_Result] = Deferred(None if self.fired else self._waiting.remove)
        if self.fired:
            deferred.callback(self._result)
        else:
            self._waiting.append(deferred)
        return deferred

    def fire(self, result: _Result | Failure) -> None:
        """Deliver the result, once; a failure reaches the errbacks. Fits ``addBoth``."""
        self.fired, self._result = True, result
        while self._waiting:  # a callback may cancel another
            self._waiting.pop(0).callback(result)
