"""Cases 21 and 39: a log that accepts nothing stops no client, and no peer can forge a line."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import sysconfig
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from soak import kernel, secure, talk
from soak.case import PORT, Case
from soak.crowd import Crowd, Member
from soak.figures import atMost, none
from soak.goodclient import GoodClient, Times
from soak.lab import TWISTD, Lab, Start
from soak.needs import Need
from soak.scale import Amount
from tests.support.certificates import localhostFile

TWIST = os.path.join(sysconfig.get_path("scripts"), "twist")
#: What a terminal would obey, and what would look like a line of its own.
EVIL = (
    b"\x1b[2J\x1b]0;owned\x07\x08\x7f\x9b31m\r\n"
    b"2026-01-01T00:00:00+0000 [-] server: got connection from = 6.6.6.6 and port = 6\n"
    b"\n\t\xe2\x80\xae\x00\\"
)
_ROOT = Need("root (a disk of its own)", lambda: os.geteuid() == 0)


class Chatter(Member):
    """Has the server say much: a message of 200 characters that are written as 800."""

    def connected(self) -> None:
        """Say it."""
        self.send(bytes([0x80]) * 200)


class FullLog(Case):
    """The log's disk is full, its reader stands still, or is gone."""

    number = 21
    title = "a log that takes nothing"
    duration = Amount(3, 10, 60)
    #: Of the 99th percentile; and milliseconds that two of three busy processes may have to wait
    #: for their turn on two cores.
    slower, noise = 1.2, 5.0

    def run(self) -> None:
        """Try each kind of log, beside one that takes everything."""
        usual = self._try("a file", None)
        with open("/dev/full", "wb") as full:
            self._try("/dev/full", usual, log=full)
        if _ROOT.there():
            with tempfile.TemporaryDirectory(dir=self.scratch) as disk:
                self._onFullDisk(disk, usual)
        else:
            self.skip("--logfile on a disk of 64 KiB", f"needs {_ROOT.name}")
        self._intoPipe("a pipe whose reader stands still", usual, closed=False)
        self._intoPipe("a pipe whose reader is gone", usual, closed=True)

    def _onFullDisk(self, disk: str, usual: Times | None) -> None:
        words = (TWISTD, "-n", "--logfile", f"{disk}/log")
        enter = lambda: kernel.tinyDisk(disk, "64k")  # noqa: E731
        self._try("--logfile on a disk of 64 KiB", usual, enter=enter, twistd=words)

    def _intoPipe(self, name: str, usual: Times | None, *, closed: bool) -> None:
        out, into = os.pipe()
        fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)  # as small as can be: it is soon full
        try:
            then: Callable[[], None] = (lambda: os.close(out)) if closed else (lambda: None)
            self._try(name, usual, then, log=into)
        finally:
            for each in (into, *([] if closed else [out])):
                os.close(each)

    def _try(
        self,
        name: str,
        usual: Times | None,
        then: Callable[[], None] = lambda: None,
        **settings: Any,
    ) -> Times:
        ack = "ack@tcp:0:interface=127.0.0.1:backlog=4096"
        start = Start((*PORT, "--behaviour", "echo", "--serve", ack), **settings)
        with self.serving(start=start, warm=lambda lab: talk.echoed(lab.ports["echo"])) as lab:
            then()
            with GoodClient(lab.ports["echo"]) as good:
                self._chat(lab)
                times = good.times()
            lab.signal(signal.SIGTERM)
            ended = lab.ended(10.0)
        figures = [
            none("good client refused or lost", times.failed),
            atMost("its longest wait", times.longest, 100, "ms"),
            atMost("SIGTERM ends it after", ended, 5, "s"),
        ]
        if usual is not None:
            bound = max(self.slower * usual.p99, usual.p99 + self.noise)
            figures.insert(1, atMost("its p99 (20 % or 5 ms above usual)", times.p99, bound, "ms"))
        self.tell(f"the log is {name}, and much is said", *figures)
        return times

    def _chat(self, lab: Lab) -> None:
        with Crowd() as crowd:
            for _ in range(int(10 * self.seconds(self.duration))):
                for _ in range(20):
                    crowd.add(Chatter(), lab.ports["ack"])
                crowd.during(0.1)


class ForgedLog(Case):
    """One hostile text through every field that a peer controls."""

    number = 39
    title = "a log that cannot be forged"

    def run(self) -> None:
        """Say it everywhere, and read the log; then the log in JSON."""
        pem = localhostFile(str(self.scratch))
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        words: list[str] = [*PORT, "--behaviour", "lab"]
        for spec in ("greeting", "ack", "lab,framing=lines", "echo,framing=netstrings"):
            words += ["--serve", f"{spec}@tcp:0:interface=127.0.0.1"]
        words += ["--serve", f"lab@ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1"]
        words += ["--serve", f"lab@unix:{folder}/socket"]
        with self.serving(*words, warm=lambda lab: self._attack(lab, folder)) as lab:
            connections = self._attack(lab, folder)
            log = lab.rawLog
        lines = log.decode("latin-1").split("\n")[:-1]
        self.tell(
            f"one hostile text through {connections} connections: data, framing, TLS, SNI, ALPN,"
            " names of Unix sockets",
            none("bytes outside 0x20-0x7e and LF", len(re.sub(rb"[\x20-\x7e\n]", b"", log))),
            none("lines that are not the log's own", sum(not ours(each) for each in lines)),
        )
        self._json(words, folder)

    def _json(self, words: list[str], folder: Path) -> None:
        start = Start(tuple(words), twistd=(TWIST, "--log-format=json"))
        with self.serving(start=start, warm=lambda lab: self._attack(lab, folder)) as lab:
            self._attack(lab, folder)
            records = [each for each in lab.rawLog.split(b"\x1e") if each.strip()]
        self.tell(
            f"the same to a log in JSON: {len(records)} records",
            none("records that cannot be parsed", sum(not parses(each) for each in records)),
        )

    def _attack(self, lab: Lab, folder: Path) -> int:
        count = 0
        for name, place in lab.ports.items():
            for data in (EVIL, EVIL * 100, b"9:" + EVIL, b"GET " + EVIL):
                with suppress(OSError):
                    talk.exchange(talk.connected(place), data)
                count += 1
            if name == "lab-3":  # behind those of --port and of lines
                count += self._secretly(place)
        return count + self._locally(folder)

    def _secretly(self, place: talk.Address) -> int:
        context = secure.trusting()
        with suppress(SSL.Error, ValueError):
            context.set_alpn_protos([EVIL[:100]])
        with suppress(OSError, SSL.Error), secure.secured(context, place, EVIL[:60]) as tls:
            secure.exchange(tls, EVIL)
        return 1

    def _locally(self, folder: Path) -> int:
        names: list[bytes] = [b"\0" + EVIL[:90], os.fsencode(folder) + b"/" + _named(EVIL[:30])]
        for name in names:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(talk.PATIENCE)
                sock.bind(name)
                sock.connect(f"{folder}/socket")
                sock.sendall(EVIL)
                sock.shutdown(socket.SHUT_WR)
                talk.readAll(sock)
            if name[0]:
                os.unlink(name)
        return len(names)


def _named(text: bytes) -> bytes:
    """Make a file name of it."""
    return text.replace(b"/", b"").replace(b"\0", b"")


def ours(line: str) -> bool:
    """Tell whether a line begins as the log's own do, and says nothing that was forged."""
    begun = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[", line)
    return begun is not None and not line.startswith("2026-01-01T00:00:00+0000")


def parses(record: bytes) -> bool:
    """Tell whether a record of a JSON log is one (RFC 7464)."""
    try:
        json.loads(record)
    except ValueError:
        return False
    return record.endswith(b"\n") and record.count(b"\n") == 1
