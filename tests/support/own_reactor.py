"""
A lab on a reactor of its own, in a thread: ``python -m tests.support.own_reactor KIND``.

All that it serves is asked, over TCP and TLS. An import of the global reactor raises, and ends this
program with status 1 and the places where it was tried.
"""

from __future__ import annotations

import socket
import ssl
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import twisted.internet
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.threads import blockingCallFromThread
from twisted.logger import LogEvent, globalLogPublisher

from tcplab.config.behaviours import BEHAVIOURS
from tcplab.config.settings import fromWords
from tcplab.faults import KINDS
from tcplab.observers import LogObserver, Observers
from tcplab.protocols import Chargen, Dialogue
from tcplab.reactor.eager import EagerReactor
from tcplab.server.service import LabService
from tests.support.certificates import localhostPEM

LIMIT = 20.0  # seconds for one answer: what hangs is a failure
HELLO = b"hello\n"


class _Package(ModuleType):
    """``twisted.internet``, which has no reactor, except for one place in Twisted."""

    @property
    def reactor(self) -> object:
        """
        Give a reactor that does nothing to the ``LoopingCall`` of ``HostnameEndpoint``.

        It makes the call with the global reactor as clock, and sets its own clock before the start.
        """
        place = sys._getframe(1)
        while "importlib" in place.f_code.co_filename:
            place = place.f_back  # type: ignore[assignment]
        maker: Any = place.f_back
        if (place.f_code.co_qualname, maker.f_code.co_qualname) == (
            "LoopingCall.__init__",
            "HostnameEndpoint.connect.<locals>.startConnectionAttempts",
        ):
            return object()
        raise AttributeError("reactor")


class Trap:
    """
    Refuse the global reactor.

    :ivar places: where it was asked for.
    """

    def __init__(self) -> None:
        self.places: list[str] = []
        assert "twisted.internet.reactor" not in sys.modules, "it is imported already"
        twisted.internet.__class__ = _Package
        sys.meta_path.insert(0, self)  # type: ignore[arg-type]

    def find_spec(self, name: str, *args: object) -> ModuleSpec | None:
        if name == "twisted.internet.reactor":
            self.places.append("".join(traceback.format_stack(limit=12)))
            raise ImportError("the global reactor is forbidden here")
        return None

    def logged(self, event: LogEvent) -> None:
        """Note an error: an import in a callback is logged only."""
        if "log_failure" in event:
            self.places.append(event["log_failure"].getTraceback())


def listeners(pem: Path) -> list[str]:
    """List what is served: every behaviour, in the clear, and with both kinds of TLS."""
    plain = "tcp:0:interface=127.0.0.1"
    kinds = (
        plain,
        f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1",
        f"tls:{pem.parent}:0:interface=127.0.0.1",
    )
    served = [
        f"{name}@{kind}"
        for kind in kinds
        for name in BEHAVIOURS
        if name not in ("relay", "forward")
    ]
    around = (f"limit:max=9:idle=60:{kinds[1]}", f"fault:latency,latency=1:{kinds[1]}")
    served += [f"echo@{endpoint}" for endpoint in around]
    return served + [f"relay,name=last@{kind}" for kind in kinds]


class Upgrading(Chargen):
    """Characters without end, over TLS by the transport's own ``startTLS``."""

    def connectionMade(self) -> None:
        """Wait for a word."""

    def messageReceived(self, message: bytes) -> None:
        """Go over to TLS, and begin the stream."""
        self.write(b"go")
        self.transport.startTLS(PrivateCertificate.loadPEM(localhostPEM()).options())
        self.raw.protocol.registerProducer(self, False)


class Dialling(Dialogue):
    """The same word and one answer, over TLS by the dialogue's own ``startTLS``."""

    async def converse(self) -> None:
        """Go over to TLS, and answer."""
        await self.receive()
        self.write(b"go")
        await self.startTLS(PrivateCertificate.loadPEM(localhostPEM()).options())
        self.write(b"x" * 300_000)


UPGRADING = [
    f"tests.support.own_reactor.{name}@tcp:0:interface=127.0.0.1"
    for name in ("Upgrading", "Dialling")
]


def joined(pem: Path, echoes: Sequence[int], relays: Sequence[int]) -> list[str]:
    """List behaviours that call these ports, of which the last two of each speak TLS."""
    trusted = f"trustRoots={pem.parent}"
    served = []
    for name, key, (plain, *secure) in (
        ("forward", "to", echoes),
        ("relay,name=x", "next", relays),
    ):
        calls = [f"tcp:localhost:{plain}", f"fault:latency\\,latency=1:tcp:127.0.0.1:{plain}"]
        for port in secure:
            calls += [
                f"tls:localhost:{port}:{trusted}",
                f"fault:latency\\,latency=1:tls:localhost:{port}:{trusted}",
                f"tls:localhost:{port}:{trusted}:endpoint=tcp\\:127.0.0.1\\:{port}",
                f"ssl:localhost:{port}:caCertsDir={pem.parent}",
            ]
        for call in calls:
            quoted = call.replace(",", "\\,") if "\\," not in call else call
            for where in (
                "tcp:0:interface=127.0.0.1",
                f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1",
            ):
                served.append(f"{name},{key}={quoted}@{where}")
    return served


class Client:
    """A client that blocks, in the clear or with TLS."""

    def __init__(self, port: int, secure: bool = False, upgrading: bool = False) -> None:
        self._sock: Any = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        if upgrading:
            self._sock.sendall(b"STARTTLS")
            assert self._sock.recv(2, socket.MSG_WAITALL) == b"go"
        if secure or upgrading:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._sock = context.wrap_socket(self._sock)

    def ask(self, data: bytes, size: int) -> bytes:
        """Send something; return the answer, of so many bytes, or up to its end."""
        with self._sock as sock:
            answer = b""
            try:
                sock.sendall(data)
                while len(answer) < size and (piece := sock.recv(65536)):
                    answer += piece
            except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
                return answer + b"!"  # as some faults have it
            return answer


class Turning:
    """A reactor that turns in a thread."""

    def __init__(self, kind: type[Any]) -> None:
        self.reactor = kind()
        self._thread = threading.Thread(target=self.reactor.run, args=(False,), daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call something there; return its result, and wait for it if it is a Deferred."""
        return blockingCallFromThread(self.reactor, function, *args)

    def stop(self) -> None:
        """Stop it, as a signal would."""
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "the reactor does not stop"


def makeLab(reactor: Any, served: Sequence[str], **words: Any) -> Any:
    """Make a lab."""
    settings = fromWords(serve=served, drainTimeout=5, lingerTimeout=0.2, **words)
    return LabService(settings, reactor, Observers(LogObserver(reactor)))


def ports(lab: Any) -> list[int]:
    """Return the ports of a lab, in the order of its listeners."""
    return [each.host.port for each in lab.listeners]


#: What is asked of a behaviour, and how many bytes of an answer are enough.
ASKED = {
    "lab": (HELLO, 18 + len(HELLO)),
    "echo": (HELLO, len(HELLO)),
    "discard": (HELLO, 0),
    "chargen": (b"", 300_000),
    "forward": (HELLO, len(HELLO)),
}


def askAll(lab: Any, served: Sequence[str], every: bool = True) -> None:
    """Ask every listener once; each has to answer, if ``every``."""
    for words, port in zip(served, ports(lab), strict=True):
        name = words.replace("\\,", "").partition("@")[0].partition(",")[0]
        secure = not words.rpartition("@")[2].startswith("tcp:")
        data, size = ASKED.get(name, (HELLO, 1))
        try:
            answer = Client(port, secure).ask(data, size)
        except OSError as error:
            answer = b""
            if every:
                raise AssertionError(f"{words}: {error}") from error
        if every:
            assert len(answer) >= size, f"{words} answers {answer[:80]!r}"
            assert name not in ("echo", "forward") or answer == HELLO, f"{words}: {answer[:80]!r}"
            assert not answer.startswith(b"error"), f"{words}: {answer[:80]!r}"


#: Every fault, so that a connection meets it and ends.
FAULTS = (
    "latency,latency=1,jitter=1,direction=both",
    "bandwidth,rate=10000,direction=both",
    "slicer,average_size=100KiB,direction=both",
    "limit_data,bytes=3B",
    "limit_time,time=20ms",
    "timeout,timeout=20",
    "slow_close,delay=20",
    "reset_peer,timeout=10",
    "half_close",
    "stall,for=20ms,direction=both",
    "corrupt,every=1KiB",
    "refuse,for=20ms",
    "hang,for=20ms",
)


def run(kind: type[Any], folder: Path) -> None:
    """Serve and ask everything."""
    pem = folder / "localhost.pem"
    pem.write_bytes(localhostPEM())
    assert {each.partition(",")[0] for each in FAULTS} == set(KINDS)
    turning = Turning(kind)
    served = listeners(pem)
    lab = turning.call(makeLab, turning.reactor, served)
    turning.call(lab.startService)
    askAll(lab, served)
    found = dict(zip(served, ports(lab), strict=True))
    echoes = [port for words, port in found.items() if words.startswith("echo@")][:3]
    relays = [port for words, port in found.items() if words.startswith("relay")]
    calling = joined(pem, echoes, relays)
    middle = turning.call(makeLab, turning.reactor, calling)
    turning.call(middle.startService)
    askAll(middle, calling)
    echoing = [words for words in served if words.startswith(("echo@", "chargen@"))]
    upgrading = turning.call(makeLab, turning.reactor, UPGRADING)
    turning.call(upgrading.startService)
    for words, port in zip(UPGRADING, ports(upgrading), strict=True):
        answer = Client(port, upgrading=True).ask(b"", 300_000)
        assert len(answer) >= 300_000, f"{words} answers {len(answer)} bytes"
    for fault in FAULTS:
        broken = turning.call(makeLab, turning.reactor, echoing)
        turning.call(broken.startService)
        turning.call(broken.faults.add, fault)
        askAll(broken, echoing, every=False)
        turning.call(broken.drain)
    for each in (upgrading, middle, lab):
        turning.call(each.drain)
        turning.call(each.stopService)
    turning.stop()


def main(name: str) -> int:
    """Run it on a reactor of this kind; return the exit status."""
    trap = Trap()
    globalLogPublisher.addObserver(trap.logged)
    kind = {"EPollReactor": EPollReactor, "EagerReactor": EagerReactor}[name]
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(kind, Path(folder))
        except BaseException:
            traceback.print_exc()
            trap.places.append("")
    print(*trap.places, sep="\n", file=sys.stderr)
    return 1 if trap.places else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
