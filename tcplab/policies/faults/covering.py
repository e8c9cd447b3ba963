"""Covering a transport's methods on the instance, so that a protocol's calls meet a filter."""

from __future__ import annotations

from typing import Any


_ALWAYS = ("write", "writeSequence", "pauseProducing", "resumeProducing")
_ASKED = ("loseConnection", "loseWriteConnection", "registerProducer", "unregisterProducer")


class Beneath:
    """
    A transport's own methods, as they are beneath a filter.

    :ivar write: and the others of `_ALWAYS`: as they were before they were covered.
    """

    write: Any
    pauseProducing: Any
    resumeProducing: Any

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._uncovered = Uncovered(transport)
        self._earlier: dict[str, Any] = {}
        self._covers: dict[str, Any] = {}
        for name in _ALWAYS:
            if hasattr(transport, name):
                setattr(self, name, getattr(transport, name))

    def __getattr__(self, name: str) -> Any:
        # A wrapper that is not connected yet has some of them only later.
        return getattr(self._uncovered, name)

    def cover(self, filter: Any) -> None:
        """Have the filter's methods called instead."""
        own = vars(self._transport)
        names = [name for name in _ASKED if hasattr(self._transport, name)]
        for name in (*_ALWAYS, *names):
            if name in own:
                self._earlier[name] = own[name]
            self._covers[name] = own[name] = getattr(filter, name)
        self._transport.filter = filter

    def uncover(self) -> None:
        """Have the transport's own methods called again, unless somebody has covered ours."""
        own = vars(self._transport)
        for name, cover in self._covers.items():
            if own.get(name) is cover:
                del own[name]
                if name in self._earlier:
                    own[name] = self._earlier[name]
        own.pop("filter", None)


class Uncovered:
    """A transport's methods without those that cover them."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        # A wrapper may have it of what it wraps only: look while it is uncovered.
        own = vars(self._transport)
        cover = own.pop(name, None)
        try:
            return getattr(self._transport, name)
        finally:
            if cover is not None:
                own[name] = cover
