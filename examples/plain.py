"""
Any Twisted Protocol can be served, a plain one too: this counts the bytes that it receives.

It has what the lab does for every connection: lines in the log, true counts, any endpoint, and
``loseConnection`` when the lab stops. It has none of what a Conversation does: half-close, flow
control, framing and graceful close. Here the peer's FIN ends the connection, and answers that wait
are lost. Serve it from this folder, and talk to it from another terminal::

    $ tcplab serve --behaviour plain.Plain
    $ tcplab connect localhost --send hello --expect '5 bytes so far'
"""

from typing import Any

from twisted.internet.protocol import Protocol


class Plain(Protocol):
    transport: Any  # type checkers cannot read Twisted's interfaces
    count = 0

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        self.transport.write(b"%d bytes so far\n" % self.count)
