"""
The TCP recipe's server, for any number of clients: acknowledge, report one message, hang up.

It prints what the recipe prints, and how each connection ended: a listener watches the port, and
tells the log. Run it, and talk to it from another terminal::

    $ python ack.py
    $ tcplab connect localhost:50544
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react
from twisted.python.log import startLogging

from tcplab.listener.listener import Listener
from tcplab.observers import LogObserver, Observers
from tcplab.protocols import Ack, ConversationFactory


async def main(reactor, where="tcp:50544:interface=127.0.0.1"):
    startLogging(sys.stdout)
    port = await serverFromString(reactor, where).listen(ConversationFactory(Ack))
    Listener("ack", Observers(LogObserver())).addPort(port)
    print("listening on port", port.getHost().port, flush=True)
    await Deferred()  # until it is interrupted


react(main, sys.argv[1:])
