"""
A conversation of your own: whole lines come in, and go back in capitals.

Serve it from this folder, and talk to it from another terminal::

    $ twistd -n tcplab --behaviour shout.Shout
    $ tcplab connect localhost
"""

from tcplab.protocols import Conversation, Lines


class Shout(Conversation):
    greeting = b"say something"
    framing = Lines

    def messageReceived(self, message):
        self.send(message.upper())
