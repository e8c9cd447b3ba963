"""
Test your own behaviours in memory: no sockets, no waiting, time by hand.

>>> peer = connected(Shout())
>>> peer.write(b"hi")
>>> peer.value()
b'HI'

The connection is served by the transport of real connections, over a socket that is only a buffer.
"""

from tcplab.testing.conformance import checkBehaviour
from tcplab.testing.peer import Peer, connected

__all__ = ["Peer", "checkBehaviour", "connected"]
