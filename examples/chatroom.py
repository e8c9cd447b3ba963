"""
Connections with shared state: a chat room is a factory with a set of members.

A member that does not read is disconnected when more than ``maxUnsent`` bytes wait for it. The
others never wait for it. Serve it from this folder, and enter it from two other terminals::

    $ tcplab serve --behaviour chatroom.ChatRoom
    $ tcplab connect localhost
    $ tcplab connect localhost
"""

from __future__ import annotations

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from tcplab.protocols import Conversation, ConversationFactory, Lines


class Member(Conversation):
    greeting = b"What is your name?"
    framing = Lines
    factory: ChatRoom
    name = b""

    def messageReceived(self, message: bytes) -> None:
        if self.name:
            self.factory.tell(self.name + b": " + message[:1000])
        elif message:
            self.name = message[:20]
            self.factory.members.add(self)
            self.factory.tell(self.name + b" is here")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self in self.factory.members:
            self.factory.members.remove(self)
            self.factory.tell(self.name + b" has gone")


class ChatRoom(ConversationFactory):
    def __init__(self, **settings: object) -> None:
        super().__init__(Member, **settings)
        self.members: set[Member] = set()

    def tell(self, message: bytes) -> None:
        for member in list(self.members):
            member.send(message)
