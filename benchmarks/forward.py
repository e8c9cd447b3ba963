"""
Measure what a forwarder adds: ``python -m benchmarks.forward [--quick]``.

An echo server in C, directly and behind each forwarder that is installed; the load is C too, and
checks every byte. Forwarders have a core of their own, in turns; server and load share another.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from statistics import median

from benchmarks import machine
from benchmarks.building import build, compiler

#: What is asked of each: the generator's words, which figure of its answer, and its unit.
LOADS = {
    "64 B, 1 connection: p50": (("request", "1", "64"), "p50", 1.0, "us"),
    "64 B, 1 connection: p99": (("request", "1", "64"), "p99", 1.0, "us"),
    "64 B, 100 connections": (("request", "100", "64"), "rate", 1e3, "k/s"),
    "streaming, 1 connection": (("bulk", "1", "65536"), "rate", 1e9, "GB/s"),
    "streaming, 8 connections": (("bulk", "8", "65536"), "rate", 1e9, "GB/s"),
    "connect, 16 B, close": (("storm", "32", "16"), "rate", 1e3, "k/s"),
}
_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
_PATIENCE = 20.0


def free() -> int:
    """Find a free port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def tcplab(port: int, to: int, folder: Path) -> list[str]:
    """As people start it."""
    twistd = os.path.join(sysconfig.get_path("scripts"), "twistd")
    spec = f"forward,to=tcp:127.0.0.1:{to}"
    return [twistd, "-n", "tcplab", "--port", str(port), "--behaviour", spec]


def socat(port: int, to: int, folder: Path) -> list[str]:
    """A process for each connection, as its manual has it."""
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=4096"
    return ["socat", listen, f"TCP:127.0.0.1:{to},nodelay"]


def nginx(port: int, to: int, folder: Path) -> list[str]:
    """One worker, its stream module."""
    module = f"load_module {_STREAM};" if _STREAM.exists() else ""
    (folder / "nginx.conf").write_text(
        f"{module} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;"
        " events { worker_connections 4096; }"
        f" stream {{ server {{ listen 127.0.0.1:{port} backlog=4096;"
        f" proxy_pass 127.0.0.1:{to}; }} }}"
    )
    return [_nginx(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", f"{folder}/error"]


def _nginx() -> str:
    return which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or ""


def forwarders() -> dict[str, Callable[[int, int, Path], list[str]] | None]:
    """Return the forwarders that are installed; ``None`` is none at all."""
    found: dict[str, Callable[[int, int, Path], list[str]] | None] = {}
    found["direct"], found["tcplab forward"] = None, tcplab
    if _nginx():
        found["nginx stream"] = nginx
    if which("socat"):
        found["socat"] = socat
    return found


@contextmanager
def running(words: list[str], core: int, port: int, folder: Path) -> Iterator[None]:
    """Run a server on a core, its children too, from when it listens; stop it whatever happens."""
    pinned = ["taskset", "-c", str(core), *words]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until = time.monotonic() + _PATIENCE
        while port and socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{words[0]} does not listen: {(folder / 'log').read_text()}")
            time.sleep(0.01)
        yield
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def put(
    load: Path, words: tuple[str, ...], port: int, seconds: float, core: int
) -> dict[str, float]:
    """Put a load on a port, and return its figures; a wrong byte is an error."""
    kind, connections, size = words
    command = ["taskset", "-c", str(core), str(load), kind, str(port), connections, size]
    done = subprocess.run([*command, str(seconds)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def measured(rounds: int, seconds: float) -> dict[tuple[str, str], list[float]]:
    """Put every load on each in turn, so that all meet the same state of the machine."""
    here, there = machine.twoCores()
    machine.allowFiles()
    found: dict[tuple[str, str], list[float]] = {}
    asked = dict.fromkeys(words for words, *_ in LOADS.values())
    with tempfile.TemporaryDirectory(prefix="tcplab-benchmarks") as scratch:
        folder, cc = Path(scratch), compiler()
        if cc is None:
            raise SystemExit("benchmarks: there is no C compiler")
        load, echo = build(cc, "load", folder), build(cc, "echo", folder)
        for number in range(rounds):
            every = list(forwarders().items())
            every = every[number % len(every) :] + every[: number % len(every)]
            for words in asked:
                for who, command in every:
                    figures = _one(load, echo, words, command, seconds, (here, there), folder)
                    for title, (same, what, scale, _) in LOADS.items():
                        if same == words:
                            found.setdefault((title, who), []).append(figures[what] / scale)
                    print(number + 1, " ".join(words), who, figures, file=sys.stderr)
    return found


def _one(
    load: Path,
    echo: Path,
    words: tuple[str, ...],
    command: Callable[[int, int, Path], list[str]] | None,
    seconds: float,
    cores: tuple[int, int],
    folder: Path,
) -> dict[str, float]:
    here, there = cores
    upstream = _Echo(echo, there)
    try:
        if command is None:
            return put(load, words, upstream.port, seconds, there)
        port = free()
        with running(command(port, upstream.port, folder), here, port, folder):
            return put(load, words, port, seconds, there)
    finally:
        upstream.stop()


class _Echo:
    """The echo server, which prints its port."""

    def __init__(self, program: Path, core: int) -> None:
        self._process = subprocess.Popen(
            ["taskset", "-c", str(core), str(program)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate()


def table(found: dict[tuple[str, str], list[float]], rounds: int, seconds: float) -> str:
    """Tell medians, with the least and the greatest, as reStructuredText."""
    whom = list(forwarders())
    lines = [".. list-table::", "   :header-rows: 1", "", "   * - load"]
    lines += [f"     - {who}" for who in whom]
    for title, (_, _, _, unit) in LOADS.items():
        lines.append(f"   * - {title}, {unit}")
        for who in whom:
            values = found[title, who]
            digits = 0 if unit == "us" else 2 if unit == "GB/s" else 1
            low, middle, high = (
                f"{each:.{digits}f}" for each in (min(values), median(values), max(values))
            )
            lines.append(f"     - {middle} ({low}\N{EN DASH}{high})")
    about = machine.described()
    lines += [
        "",
        f"{about['cpu']}, {about['cores']} cores, {about['kernel']}, {about['python']}, Twisted"
        f" {about['twisted']}, {about['date']}. Medians (least\N{EN DASH}greatest) of {rounds}"
        f" interleaved round(s) of {seconds:g} s; forwarders on one core, load and server on"
        " another.",
    ]
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="see that it works, not how fast")
    parser.add_argument("--rounds", type=int, help="[5; quick: 1]")
    parser.add_argument("--seconds", type=float, help="for each load [2; quick: 0.1]")
    options = parser.parse_args(words)
    rounds = options.rounds or (1 if options.quick else 5)
    seconds = options.seconds or (0.1 if options.quick else 2.0)
    print(table(measured(rounds, seconds), rounds, seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
