"""A bare Protocol that echoes, on a reactor of Twisted: twistedecho.py REACTOR [GREETING]"""

from __future__ import annotations

import sys

from twisted.application.reactors import installReactor


def main(name: str, greeting: str = "") -> None:
    """Serve on a port that the system chooses, which is printed."""
    reactor = installReactor(name)

    from twisted.internet.protocol import Factory, Protocol

    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)

    class GreetingEcho(Echo):
        def connectionMade(self) -> None:
            self.transport.write(greeting.encode())

    factory = Factory.forProtocol(GreetingEcho if greeting else Echo)
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


main(*sys.argv[1:])
