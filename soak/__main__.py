"""Try the lab with all that a peer can do: ``python -m soak [--quick | --long] [--cases 1,4]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks import machine
from soak import table
from soak.case import Case
from soak.cases import CASES
from soak.figures import Row, Verdict, worst
from soak.lab import ROOT
from soak.page import page
from soak.scale import Scale

#: The matrix asks for the worst of three.
ROUNDS = {Scale.QUICK: 1, Scale.USUAL: 1, Scale.LONG: 3}


def parsed(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    numbers = ",".join(str(each.number) for each in CASES)
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="see that it works, not what it withstands"
    )
    parser.add_argument("--long", action="store_true", help="the matrix's own amounts, three times")
    parser.add_argument("--rounds", type=int, help="how often; the worst is told [1; long: 3]")
    parser.add_argument("--cases", help=f"some of {numbers}")
    parser.add_argument(
        "--output", type=Path, help="a file [the page of reliability if all is run]"
    )
    options = parser.parse_args(words)
    if options.quick and options.long:
        parser.error("--quick and --long contradict each other")
    options.scale = Scale.QUICK if options.quick else Scale.LONG if options.long else Scale.USUAL
    options.rounds = options.rounds or ROUNDS[options.scale]
    # What was not tried in earnest must not replace what was.
    whole = not options.cases and not options.quick
    usual = (
        ROOT / "docs" / "explanation" / "reliability.rst" if whole else ROOT / "build" / "soak.rst"
    )
    options.output = options.output or usual
    return options


def chosen(named: str | None) -> list[type[Case]]:
    """
    Return the cases that were asked for, in our order.

    :raises SystemExit: there is none of that number.
    """
    every = {str(each.number) for each in CASES}
    wanted = set(named.split(",")) if named else every
    if unknown := wanted - every:
        raise SystemExit(f"soak: not here: {', '.join(sorted(unknown))}")
    return [each for each in CASES if str(each.number) in wanted]


def tried(case: type[Case], scale: Scale, rounds: int) -> list[Row]:
    """Carry out a case, as often as asked for, and return the worst of each of its rows."""
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="tcplab-soak") as folder:
            found.append(case(scale, Path(folder)).carriedOut())
    return worst(found)


def all_(cases: Iterable[type[Case]], scale: Scale, rounds: int) -> list[Row]:
    """Carry out cases, and tell of each as soon as it is through."""
    rows = []
    for case in cases:
        print(f"soak: {case.number}: {case.title}", file=sys.stderr)
        some = tried(case, scale, rounds)
        for row in some:
            print(table.line(row), file=sys.stderr)
        rows += some
    return rows


def main(words: list[str]) -> int:
    """Try and tell; return 1 if some figure is not met."""
    options = parsed(words)
    machine.allowFiles()
    # Where a user's PATH may not look, and root's programs are.
    os.environ["PATH"] += os.pathsep + os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))
    begun = time.monotonic()
    rows = all_(chosen(options.cases), options.scale, options.rounds)
    print(table.text(rows))
    minutes = (time.monotonic() - begun) / 60
    notes = [f"{options.scale.value} amounts, {options.rounds} round(s), {minutes:.0f} minutes."]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page(rows, machine.described(), notes))
    print(f"{table.summary(rows)}; written to {options.output}", file=sys.stderr)
    bad = (Verdict.MISSED, Verdict.FAILED)
    return 1 if any(each.verdict in bad for each in rows) else 0


def stop(number: int, _frame: object) -> None:
    """End as by ^C: every ``with`` stops what it has started."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        raise SystemExit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        raise SystemExit("soak: interrupted; every server is stopped") from None
