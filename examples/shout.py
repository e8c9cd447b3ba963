"""
A conversation of your own: each line is returned in capitals.

Serve it from this folder, and talk to it from another terminal::

    $ tcplab serve --behaviour shout.Shout
    $ tcplab connect localhost
"""

from tcplab.protocols import Conversation, Lines


class Shout(Conversation):
    greeting = b"say something"
    framing = Lines

    def messageReceived(self, message: bytes) -> None:
        self.send(message.upper())
