"""
Any Twisted Protocol can be served, a plain one too: this counts what comes.

It gets what the lab does for every connection: lines in the log, true counts, any endpoint, and
``loseConnection`` when the lab stops. What a Conversation does it has to do itself: half-close
(here the peer's end is the end, and answers that wait are lost), flow control, framing, the polite
end. Serve it from this folder, and talk to it from another terminal::

    $ twistd -n tcplab --behaviour plain.Plain
    $ tcplab connect localhost --send hello --expect '5 bytes so far'
"""

from twisted.internet.protocol import Protocol


class Plain(Protocol):
    count = 0

    def dataReceived(self, data):
        self.count += len(data)
        self.transport.write(b"%d bytes so far\n" % self.count)
