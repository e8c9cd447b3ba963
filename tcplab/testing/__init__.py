r"""
Test protocols in memory: no sockets, no waiting; the test moves the clock.

>>> class Shout(Conversation):
...     greeting = b"say something"
...     framing = Lines
...     def messageReceived(self, message):
...         self.send(message.upper())
>>> peer = connected(Shout)
>>> peer.write(b"hi\n")
>>> peer.value()
b'say something\nHI\n'
>>> checkBehaviour(Shout, b"hi\nthere", b"say something\nHI\nTHERE\n")

The transport is that of real connections. Only its socket is a buffer.
"""

from tcplab.testing.conformance import checkBehaviour
from tcplab.testing.peer import Peer, connected

__all__ = ["Peer", "checkBehaviour", "connected"]
