"""
Test protocols in memory: no sockets, no waiting; the test moves the clock.

>>> peer = connected(Shout())
>>> peer.write(b"hi")
>>> peer.value()
b'HI'

The transport is that of real connections. Only its socket is a buffer.
"""

from tcplab.testing.conformance import checkBehaviour
from tcplab.testing.peer import Peer, connected

__all__ = ["Peer", "checkBehaviour", "connected"]
