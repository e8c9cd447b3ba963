"""
The ack server of the textbook, for any number of clients: acknowledge, report one message, close.

It prints what that program prints, and how each connection ended. The log is an observer of the
lab. Run it, and connect to it from another terminal::

    $ python ack.py
    $ tcplab connect localhost:50544
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.log import startLogging

from tcplab import Lab, ListenerSettings
from tcplab.observers import LogObserver
from tcplab.protocols import Ack


async def main(reactor: object, where: str = "tcp:50544:interface=127.0.0.1") -> None:
    startLogging(sys.stdout)
    listener = ListenerSettings("ack", Ack, where)
    lab = Lab(listeners=[listener], observers=[LogObserver()], reactor=reactor)
    await lab.start()
    print("listening on port", lab.port, flush=True)
    await Deferred[None]()  # until it is interrupted


react(main, sys.argv[1:])
