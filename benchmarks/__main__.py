"""Measure echo servers beside each other: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.building import HERE, build, compiler
from benchmarks.contenders import Contender, Trouble, contenders
from benchmarks.figures import Figures
from benchmarks.loads import LOADS, Bench, Load
from benchmarks.picture import svg
from benchmarks.report import rst, text


def parsed(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="see that it works, not how fast")
    parser.add_argument("--rounds", type=int, help="[5; quick: 1]")
    parser.add_argument("--seconds", type=float, help="for each load [2; quick: 0.1]")
    parser.add_argument("--loads", help=f"some of {','.join(each.key for each in LOADS)}")
    parser.add_argument("--servers", help="some of c,lab,before,eager,stock,asyncio,uvloop")
    parser.add_argument(
        "--against", type=Path, help="twistd of another checkout: measure its lab beside this one"
    )
    parser.add_argument(
        "--output", type=Path, help="a folder [benchmarks/results; quick or against: build]"
    )
    options = parser.parse_args(words)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.1 if options.quick else 2.0)
    # What was not measured in earnest must not replace what was.
    passing = options.quick or options.against is not None
    folder = HERE.parent / "build" / "benchmarks" if passing else HERE / "results"
    options.output = options.output or folder
    return options


def chosen(named: str | None, every: list[Any]) -> list[Any]:
    """
    Return those that were asked for, in our order.

    :raises SystemExit: there is none of that name.
    """
    keys = named.split(",") if named else [each.key for each in every]
    unknown = set(keys) - {each.key for each in every}
    if unknown:
        raise SystemExit(f"benchmarks: not here: {', '.join(sorted(unknown))}")
    return [each for each in every if each.key in keys]


def said(notes: list[str], note: str) -> None:
    """Tell what the figures have to be read with, now and in the tables."""
    print(f"benchmarks: {note}", file=sys.stderr)
    notes.append(note)


def programs(folder: Path, notes: list[str]) -> tuple[list[str], Path | None]:
    """Return the generator's command, and the C server's program, if there can be one."""
    cc = compiler()
    if cc is not None:
        return [str(build(cc, "load", folder))], build(cc, "echo", folder)
    said(
        notes,
        "No C compiler: the C server is left out, and the load comes from Python, which is slower"
        " than some of the servers.",
    )
    return [sys.executable, str(HERE / "slowload.py")], None


def measured(
    bench: Bench, loads: list[Load], servers: list[Contender], rounds: int
) -> list[dict[str, Any]]:
    """Put every load on every server, in turns, so that they share the machine's moods."""
    found = []
    for number in range(rounds):
        for load in loads:
            for server in servers[number % len(servers) :] + servers[: number % len(servers)]:
                try:
                    figures = bench.measure(load, server)
                    told = f"{figures['rate']:,.0f}"
                except (Trouble, OSError) as trouble:
                    figures = {"failed": str(trouble)}
                    told = f"failed: {trouble}"
                found.append(
                    {"load": load.key, "contender": server.key, "round": number, **figures}
                )
                print(f"{number + 1} {load.title}, {server.title}: {told}", file=sys.stderr)
    return found


def write(folder: Path, results: dict[str, Any]) -> Figures:
    """Write what was found, the table and the picture."""
    figures = Figures(results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "table.txt").write_text(text(figures))
    (folder / "table.rst").write_text(rst(figures))
    (folder / "echo.svg").write_text(svg(figures))
    return figures


def main(words: list[str]) -> int:
    """Measure and tell; return 1 if some measurement has failed."""
    options = parsed(words)
    notes: list[str] = []
    cores = machine.twoCores()
    if cores[0] == cores[1]:
        said(notes, "There is only one core: the server and the generator share it.")
    files = machine.allowFiles()
    with tempfile.TemporaryDirectory(prefix="tcplab-benchmarks") as scratch:
        folder = Path(scratch)
        generator, echo = programs(folder, notes)
        every = contenders(echo, options.against)
        if not any(each.key == "uvloop" for each in every):
            said(notes, "uvloop is not installed, and left out.")
        servers = chosen(options.servers, every)
        loads = chosen(options.loads, list(LOADS))
        bench = Bench(generator, cores, options.seconds, files, folder)
        found = measured(bench, loads, servers, options.rounds)
    keys = [each.key for each in servers]
    results = {
        "machine": machine.described(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "notes": notes,
        "baseline": next((each for each in ("c", "stock") if each in keys), keys[0]),
        "contenders": {each.key: each.title for each in servers},
        "loads": {each.key: {"title": each.title, "kind": each.kind} for each in loads},
        "measured": found,
    }
    figures = write(options.output, results)
    print(text(figures))
    print(f"written to {options.output}", file=sys.stderr)
    return 1 if figures.failures() else 0


def stop(number: int, _frame: object) -> None:
    """End as by ^C: every ``with`` stops what it has started."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        raise SystemExit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        raise SystemExit("benchmarks: interrupted; every server is stopped") from None
