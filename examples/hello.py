"""
The threaded hello server without threads: greet, receive one message, close.

Run it, and talk to it from another terminal::

    $ python hello.py
    $ tcplab connect localhost:8080
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react

from tcplab.protocols import ConversationFactory, Greeting


async def main(reactor: object, where: str = "tcp:8080:interface=127.0.0.1") -> None:
    port = await serverFromString(reactor, where).listen(ConversationFactory(Greeting))
    print("listening on port", port.getHost().port, flush=True)
    await Deferred[None]()  # until it is interrupted


react(main, sys.argv[1:])
