"""
A dialogue on the server's side: it reads from top to bottom, and blocks no other connection.

Serve it from this folder, and talk to it from another terminal::

    $ tcplab serve --behaviour recipe.Recipe
    $ tcplab connect localhost
"""

from tcplab.protocols import Dialogue, Lines, PeerSilent


class Recipe(Dialogue):
    framing = Lines

    async def converse(self) -> None:
        self.send(b"What is your name?")
        try:
            name = await self.receive(timeout=60)
        except PeerSilent:
            name = b"stranger"
        self.report(name)
        self.send(b"Hello, " + name + b"!")  # returning closes gracefully
