"""
The forking echo server and the slides' one, in one process: many clients at once, none waits.

Every byte is returned, also those still on their way when a client has half-closed. A client that
does not read is not read from. Run it, and talk to it from another terminal::

    $ python echo.py
    $ tcplab connect localhost:8888
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react

from tcplab.protocols import ConversationFactory, Echo


async def main(reactor: object, where: str = "tcp:8888:interface=127.0.0.1") -> None:
    port = await serverFromString(reactor, where).listen(ConversationFactory(Echo))
    print("listening on port", port.getHost().port, flush=True)
    await Deferred[None]()  # until it is interrupted


react(main, sys.argv[1:])
