"""The eager reactor, under the name by which Twisted's tests know what epoll can't do."""

from __future__ import annotations

from tcplab.reactor import eager


class EPollReactor(eager.EagerReactor):
    """The eager reactor."""
