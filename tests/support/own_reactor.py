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
from tcplab.config.options import fromWords
from tcplab.faults import KINDS
from tcplab.observers import LogObserver, Observers
from tcplab.protocols import Chargen, Dialogue
from tcplab.reactor.eager import EagerReactor
from tcplab.server.service import LabService
from tests.support.certificates import localhostPEM, overTLS

LIMIT = 20.0  # seconds for one answer: what hangs is a failure
HELLO = b"hello\n"
HERE = ":interface=127.0.0.1"
PLAIN = f"tcp:0{HERE}"


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
    secure = f"ssl:0:privateKey={pem}:certKey={pem}{HERE}"
    kinds = (PLAIN, secure, f"tls:{pem.parent}:0{HERE}")
    names = [each for each in BEHAVIOURS if each not in ("relay", "forward")]
    served = [f"{name}@{kind}" for kind in kinds for name in names]
    around = (f"limit:max=9:idle=60:{secure}", f"fault:latency,latency=1:{secure}")
    served += [f"echo@{endpoint}" for endpoint in around]
    return served + [f"relay,name=last@{kind}" for kind in kinds]


def joined(pem: Path, echoes: Sequence[int], relays: Sequence[int]) -> list[str]:
    """List behaviours that call these ports, of which the last two of each speak TLS."""
    trusted, slow = f"trustRoots={pem.parent}", "fault:latency\\,latency=1"
    calls = []
    for spec, (plain, *secure) in (("forward,to", echoes), ("relay,name=x,next", relays)):
        calls += [f"{spec}=tcp:localhost:{plain}", f"{spec}={slow}:tcp:127.0.0.1:{plain}"]
        for port in secure:
            calls += [
                f"{spec}=tls:localhost:{port}:{trusted}",
                f"{spec}={slow}:tls:localhost:{port}:{trusted}",
                f"{spec}=tls:localhost:{port}:{trusted}:endpoint=tcp\\:127.0.0.1\\:{port}",
                f"{spec}=ssl:localhost:{port}:caCertsDir={pem.parent}",
            ]
    return [
        f"{call}@{kind}"
        for call in calls
        for kind in (PLAIN, f"ssl:0:privateKey={pem}:certKey={pem}{HERE}")
    ]


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


UPGRADING = [f"tests.support.own_reactor.{name}@{PLAIN}" for name in ("Upgrading", "Dialling")]


def ask(port: int, data: bytes, size: int, *, secure: bool = False, begin: bytes = b"") -> bytes:
    """
    Send something; return the answer, of so many bytes, or up to its end.

    :param secure: go over to TLS, once ``begin`` is answered by ``go`` if there is such.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as plain:
        if begin:
            plain.sendall(begin)
            assert plain.recv(2, socket.MSG_WAITALL) == b"go"
        with overTLS(plain) if secure else plain as sock:
            try:
                sock.sendall(data)
                while len(answer) < size and (piece := sock.recv(65536)):
                    answer += piece
            except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
                return answer + b"!"  # as some faults have it
    return answer


class Turning:
    """
    A reactor that turns in a thread, and the labs on it.

    :ivar labs: those that are started.
    """

    def __init__(self, kind: type[Any]) -> None:
        self.reactor = kind()
        self.labs: list[Any] = []
        self._thread = threading.Thread(target=self.reactor.run, args=(False,), daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call something there; return its result, and wait for it if it is a Deferred."""
        return blockingCallFromThread(self.reactor, function, *args)

    def start(self, served: Sequence[str]) -> list[int]:
        """Start a lab; return its ports."""
        settings = fromWords(serve=served, drainTimeout=5, lingerTimeout=0.2)

        def make() -> Any:
            return LabService(settings, self.reactor, Observers(LogObserver(self.reactor)))

        lab = self.call(make)
        self.labs.append(lab)
        self.call(lab.startService)
        return [each.host.port for each in lab.listeners]

    def stop(self) -> None:
        """Stop all."""
        while self.labs:
            lab = self.labs.pop()
            self.call(lab.drain)
            self.call(lab.stopService)
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "the reactor does not stop"


#: What is asked of a behaviour, and how many bytes of an answer are enough.
ASKED = {
    "lab": (HELLO, 18 + len(HELLO)),
    "echo": (HELLO, len(HELLO)),
    "discard": (HELLO, 0),
    "chargen": (b"", 300_000),
    "forward": (HELLO, len(HELLO)),
}


def askAll(served: Sequence[str], ports: Sequence[int], every: bool = True) -> None:
    """Ask every listener once; each has to answer, if ``every``."""
    for words, port in zip(served, ports, strict=True):
        name = words.partition("@")[0].partition(",")[0]
        secure = not words.rpartition("@")[2].startswith("tcp:")
        data, size = ASKED.get(name, (HELLO, 1))
        try:
            answer = ask(port, data, size, secure=secure)
        except OSError as error:
            if every:
                raise AssertionError(f"{words}: {error}") from error
            continue
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
    ports = turning.start(served)
    askAll(served, ports)
    echoes, relays = (
        [port for words, port in zip(served, ports, strict=True) if words.startswith(name)]
        for name in ("echo@", "relay")
    )
    calling = joined(pem, echoes[:3], relays)
    askAll(calling, turning.start(calling))
    for words, port in zip(UPGRADING, turning.start(UPGRADING), strict=True):
        answer = ask(port, b"", 300_000, secure=True, begin=b"STARTTLS")
        assert len(answer) >= 300_000, f"{words} answers {len(answer)} bytes"
    echoing = [words for words in served if words.startswith(("echo@", "chargen@"))]
    for fault in FAULTS:
        ports = turning.start(echoing)
        turning.call(turning.labs[-1].faults.add, fault)
        askAll(echoing, ports, every=False)
        turning.call(turning.labs.pop().drain)
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
