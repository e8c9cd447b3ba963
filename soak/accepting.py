"""Cases 13 and 14: accept() fails, and nothing else does."""

from __future__ import annotations

import resource
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from soak import talk
from soak.case import PORT, Case
from soak.clients import Asking
from soak.crowd import Crowd
from soak.figures import atMost, every, none
from soak.lab import Lab, Trouble
from soak.needs import STRACE
from soak.scale import Amount
from soak.storms import extraordinary

#: Of one core, in percent.
CPU = 5
#: A second: what the log may say besides of connections.
LINES = 10
#: Seconds: accept() is tried again once a second at least.
RECOVERY = 1


class Window:
    """
    What a server does in a time: its CPU, and what it says.

    :ivar cpu: percent of a core.
    :ivar lines: a second, other than those of connections.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._cpu, self._log, self._begun = lab.cpu, len(lab.log), time.monotonic()

    def close(self) -> None:
        """Look."""
        seconds = time.monotonic() - self._begun
        self.cpu = 100 * (self._lab.cpu - self._cpu) / seconds
        self.lines = extraordinary(self._lab.log[self._log :]) / seconds


class NoDescriptors(Case):
    """The process may have no more files than it has."""

    number = 13
    title = "EMFILE"
    files = 256
    clients = Amount(400, 1000, 1000)
    leaving = 200
    watched = Amount(1, 5, 30)

    def run(self) -> None:
        """Lower the limit of a server that runs, fill it, watch it, and let some go."""
        count = self.amount(self.clients)
        with self.serving(*PORT, "--behaviour", "echo", warm=self._fill) as lab, Crowd() as crowd:
            _, hard = resource.prlimit(lab.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(lab.pid, resource.RLIMIT_NOFILE, (self.files, hard))
            members = crowd.addAll([Asking() for _ in range(count)], lab.ports["echo"])
            crowd.during(1.0)
            inside = [each for each in members if each.served]
            refused = sum(bool(each.over) for each in members)
            window = Window(lab)
            crowd.during(self.seconds(self.watched))
            window.close()
            alive = self._ask(crowd, inside)
            for each in inside[: self.leaving]:
                each.close()
            begun = time.monotonic()
            waiting = [each for each in members if not each.served and not each.over]
            crowd.until(lambda: any(each.served for each in waiting), talk.PATIENCE)
            seconds = time.monotonic() - begun
            resource.prlimit(lab.pid, resource.RLIMIT_NOFILE, (hard, hard))
        self.tell(
            f"{self.files} files, {count:,} clients: {len(inside)} inside; {self.leaving} leave",
            atMost("CPU", window.cpu, CPU, "%"),
            atMost("log lines a second", window.lines, LINES),
            every("inside and served still", alive, len(inside)),
            none("refused or reset", refused),
            atMost("the next is served after", seconds, RECOVERY, "s"),
        )

    def _fill(self, lab: Lab) -> None:
        with Crowd() as crowd:
            self._ask(crowd, crowd.addAll([Asking() for _ in range(300)], lab.ports["echo"]))

    def _ask(self, crowd: Crowd, members: list[Asking]) -> int:
        for each in members:
            each.served = False
            each.send(b"?")
        crowd.until(lambda: all(each.served for each in members), 5.0)
        return sum(each.served for each in members)


#: The kernel's own lacks, and peers that were gone before they were accepted.
ERRORS = ("ENFILE", "ENOMEM", "ENOBUFS", "EPROTO", "ECONNABORTED")


class AcceptFails(Case):
    """strace has accept() fail with one error after another, while a client waits."""

    number = 14
    title = "accept() fails"
    needs = (STRACE,)
    #: Just after a try, where those are 5 ms, 10 ms ... 1 s apart: the longest way to the next.
    watched = Amount(1, 3.4, 30.4)

    def run(self) -> None:
        """Try each error against one server."""
        with self.serving(*PORT, "--behaviour", "echo", warm=self._warm) as lab:
            for error in ERRORS:
                self._try(lab, error)

    def _warm(self, lab: Lab) -> None:
        with failing(lab, "ENFILE"), Crowd() as crowd:
            crowd.add(Asking(), lab.ports["echo"])
            crowd.during(0.5)

    def _try(self, lab: Lab, error: str) -> None:
        seconds = self.seconds(self.watched)
        with Crowd() as crowd:
            inside = crowd.add(Asking(), lab.ports["echo"])
            crowd.until(lambda: inside.served, talk.PATIENCE)
            with failing(lab, error):
                waiting = crowd.add(Asking(), lab.ports["echo"])
                window = Window(lab)
                answers = self._talk(crowd, inside, seconds)
                window.close()
            begun = time.monotonic()
            crowd.until(lambda: waiting.served, talk.PATIENCE)
            recovery = time.monotonic() - begun
        self.tell(
            f"accept() fails with {error} for {seconds:g} s",
            atMost("CPU", window.cpu, CPU, "%"),
            atMost("log lines a second", window.lines, LINES),
            every("answers to clients inside", answers, 10),
            atMost("a waiting client is served after", recovery, RECOVERY, "s"),
        )

    def _talk(self, crowd: Crowd, member: Asking, seconds: float) -> int:
        answers = 0
        for _ in range(10):
            member.served = False
            member.send(b"?")
            due = time.monotonic() + seconds / 10
            answers += crowd.until(lambda: member.served, 5.0)
            crowd.during(due - time.monotonic())
        return answers


@contextmanager
def failing(lab: Lab, error: str) -> Iterator[None]:
    """
    Have every accept() of a server fail.

    :raises Trouble: strace may not.
    """
    call = ("-e", "trace=accept4", "-e", f"inject=accept4:error={error}")
    words = ("strace", "-f", "-o", "/dev/null", "-p", str(lab.pid), *call)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as strace:
        try:
            assert strace.stderr is not None
            ready, _, _ = select.select([strace.stderr], [], [], 10)
            said = strace.stderr.readline() if ready else ""
            if "attached" not in said:
                raise Trouble(f"strace does not attach: {said.strip()}")
            yield
        finally:
            strace.terminate()
            strace.communicate()
