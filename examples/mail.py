"""
A dialogue that turns to TLS half-way, as mail does (RFC 5321, RFC 3207): it counts your lines.

Make a certificate, serve it from this folder, and talk to it from another terminal::

    $ openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout mail.pem -out mail.pem
    $ tcplab serve --behaviour mail.Mail
    $ openssl s_client -starttls smtp -crlf -quiet -CAfile mail.pem -connect localhost:50544

There type ``DATA``, some lines, a dot alone, and ``QUIT``.
"""  # noqa: E501 (a command is typed in one line)

from pathlib import Path

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.ssl import PrivateCertificate

from tcplab.protocols import CRLF, Dialogue


class Mail(Dialogue):
    greeting = b"220 tcplab counts the lines of your mail"
    framing = CRLF
    certificate = "mail.pem"  # the key too; mail.Mail,certificate=FILE names another

    async def converse(self) -> None:
        async for line in self.messages(timeout=300):
            match line.upper().split():
                case [b"EHLO", *_]:
                    self.send(b"250-tcplab")
                    self.send(b"250 STARTTLS")
                case [b"STARTTLS"] if not ISSLTransport.providedBy(self.transport):
                    await self.encrypt()
                case [b"HELO" | b"MAIL" | b"RCPT" | b"NOOP" | b"RSET", *_]:
                    self.send(b"250 ok")
                case [b"DATA"]:
                    await self.count()
                case [b"QUIT"]:
                    self.send(b"221 goodbye")
                    return
                case _:
                    self.send(b"500 I do not know that")

    async def encrypt(self) -> None:
        try:
            pem = Path(self.certificate).read_bytes()
        except OSError:
            self.send(b"454 there is no certificate here")
        else:
            self.send(b"220 go ahead")
            await self.startTLS(PrivateCertificate.loadPEM(pem).options())

    async def count(self) -> None:
        self.send(b"354 end with a dot alone")
        lines = 0
        while await self.receive(timeout=300) != b".":
            lines += 1
        self.send(b"250 %d lines" % lines)
