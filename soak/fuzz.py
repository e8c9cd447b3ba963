"""Case 36: any bytes to any port, and any words to the command line."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from soak import talk
from soak.case import PORT, Case
from soak.crowd import Crowd, Member
from soak.figures import MIB, none
from soak.lab import ROOT, TWISTD, Lab
from soak.scale import Amount
from soak.slow import Dawdling
from soak.workers import until
from tcplab.wire.names import BEHAVIOURS, FRAMINGS
from tests.support.certificates import localhostFile

#: Beginnings of good input. One is taken, and some of its bytes are changed.
SEEDS = (
    Dawdling.hello,
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
    b"12:hello world!,0:,999999999999999999999:",
    b"\x00\x00\x00\x05hello\xff\xff\xff\xff",
    b"hello\nworld\r\n" * 20,
    bytes(4096),
)


#: What can be served without a word: others need to be told where to go.
BEHAVING = tuple(name for name in BEHAVIOURS if name not in ("echo", "forward", "relay"))


def anything(dice: random.Random) -> bytes:
    """Make an input: noise, or a seed with some of its bytes changed, once or often."""
    if dice.random() < 0.3:
        # As many short ones as long ones, up to 64 KiB.
        return dice.randbytes(int(2 ** dice.uniform(0, 16)))
    data = bytearray(dice.choice(SEEDS))
    for _ in range(dice.randrange(4)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data[: dice.randrange(len(data)) + 1]) * dice.choice((1, 1, 1, 50))


class Fuzzing(Member):
    """Says its input in some pieces, reads a while, and goes in some way."""

    __slots__ = ("_dice", "_left")

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._dice = random.Random(seed)
        self._left = anything(self._dice)

    def connected(self) -> None:
        """Begin."""
        self.watch(writing=True)

    def mayWrite(self) -> None:
        """Say the next piece; behind the last one go, or half-close and wait for the end."""
        piece = self._left[: self._dice.randrange(len(self._left)) + 1]
        self._left = self._left[self.send(piece) :]
        if self._left or self.over:
            return
        self.watch()
        way = self._dice.randrange(4)
        if way == 0:
            self.reset()
        elif way == 1:
            self.close()
        else:
            self.finish()

    def heard(self, data: bytes) -> None:
        """Go when there was enough: some have no end."""
        if self._dice.randrange(8) == 0:
            self.close()


class Fuzz(Case):
    """Every behaviour, every framing, TLS; then the command line."""

    number = 36
    title = "fuzz"
    inputs = Amount(4000, 200_000, 1_000_000)
    lines = Amount(10, 60, 2000)
    #: The matrix's own.
    growth = 4 * MIB
    window = 40
    #: Inputs between two looks at whether it serves still.
    between = 2000

    def run(self) -> None:
        """Fuzz all ports by turns, then the words."""
        pem = localhostFile(str(self.scratch))
        words = [*PORT, "--behaviour", "echo"]
        specs = [*BEHAVING]
        specs += [f"{kind},framing={name}" for kind in ("echo", "lab") for name in FRAMINGS]
        for spec in specs:
            words += ["--serve", f"{spec}@tcp:0:interface=127.0.0.1:backlog=4096"]
        for kind in ("echo", "lab"):
            tls = f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1:backlog=4096"
            words += ["--serve", f"{kind}@{tls}"]
        count = self.amount(self.inputs)
        with self.serving(*words, warm=lambda lab: self._fuzz(lab, 2000, 10**9)) as lab:
            silent = self._fuzz(lab, count, 0)
        self.tell(
            f"{count:,} inputs to {len(lab.ports)} ports: every behaviour and framing, TLS",
            none("canaries not answered", silent),
        )
        self._words()

    def _fuzz(self, lab: Lab, count: int, seed: int) -> int:
        silent = 0
        ports = list(lab.ports.values())
        for start in range(seed, seed + count, self.between):
            with Crowd() as crowd:
                self._round(crowd, ports, range(start, min(start + self.between, seed + count)))
            silent += not talk.echoed(lab.ports["echo"])
        return silent

    def _round(self, crowd: Crowd, ports: list[talk.Address], seeds: range) -> None:
        begun = 0
        end = time.monotonic() + talk.PATIENCE
        while (begun < len(seeds) or crowd.members) and time.monotonic() < end:
            while begun < len(seeds) and len(crowd.members) < self.window:
                number = seeds[begun]
                source = f"127.0.0.{2 + number % 200}"
                crowd.add(Fuzzing(number), ports[number % len(ports)], source)
                begun += 1
            crowd.turn(0.05)
            for each in list(crowd.members.values()):
                if time.monotonic() - each.began > 1.0:
                    each.close()  # one that waits for more than was said

    # The command line

    def _words(self) -> None:
        count = self.amount(self.lines)
        wrong = [line for line in map(commandLine, range(count)) if not self._answered(line)]
        example = f", as {wrong[0]}" if wrong else ""
        self.tell(
            f"{count:,} command lines made at random{example}",
            none("that hang, trace back, or end otherwise than with a line", len(wrong)),
        )

    def _answered(self, words: list[str]) -> bool:
        """It ends at once with a line, or it serves until it is told to end."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            command = [TWISTD, "-n", "tcplab", *words]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
            ) as process:
                # A lab that serves handles SIGTERM.
                until(lambda: process.poll() is not None or handlesSIGTERM(process.pid), 20.0)
                serves = process.poll() is None
                if serves:
                    process.terminate()
                said, _ = process.communicate(timeout=20.0)
        if serves:
            return process.returncode == 0 and b"Traceback" not in said
        lines = said.strip().splitlines()
        return process.returncode in (0, 1, 2) and len(lines) == 1 and b"Traceback" not in said


def handlesSIGTERM(pid: int) -> bool:
    """Tell whether a process has a handler for the signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> signal.SIGTERM - 1 & 1)


_FLAGS = (
    *("--port", "--interface", "--behaviour", "--serve", "--greeting", "--linger-timeout"),
    *("--port-file", "--max-connections", "--max-per-peer", "--idle-timeout", "--write-timeout"),
    *("--handshake-timeout", "--drain-timeout", "--drain-delay", "--no-such-option", "-x"),
)
_VALUES = (
    *("", "0", "-1", "1e400", "nan", "99999999999999999999", "x", "0x10", "1,5", "\u0661", " "),
    *("127.0.0.1", "::1", "256.1.1.1", "echo", "echo,framing=none", "ack@", "@tcp:0", "a.b.C"),
    *("echo@tcp:0:interface=127.0.0.1", "echo@unix:socket", "os.path", "lab,greeting=\\", "\\xZZ"),
    *("echo@limit:max=0:tcp:0:interface=127.0.0.1", "\x1b[31m", "folder/", "none", "--port", "1"),
)


def commandLine(seed: int) -> list[str]:
    """Make words: options that there are or not, with values that they may take or not."""
    dice = random.Random(seed)
    words = ["--port", "0"]
    for _ in range(dice.randint(1, 4)):
        words += [dice.choice(_FLAGS), dice.choice(_VALUES)]
    # The default port may be in use, and no other machine is to be reached.
    return words
