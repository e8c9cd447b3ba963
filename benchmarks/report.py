"""The tables: as text, and as reStructuredText for the page of performance."""

from __future__ import annotations

from benchmarks.figures import Figures
from benchmarks.loads import UNITS

_NONE = "\N{EN DASH}"


def cell(figures: Figures, load: str, contender: str) -> str:
    """Tell a rate, or memory, with its unit and its marks."""
    spread = figures.of(load, contender)
    scale, unit = UNITS[figures.loads[load]["kind"]]
    if spread is None:
        return _NONE
    return f"{spread.told(scale)} {unit}{figures.marks(load, contender)}"


def ratio(figures: Figures, load: str, contender: str) -> str:
    """Tell the ratio to the baseline with its marks."""
    spread = figures.ratio(load, contender)
    marks = figures.marks(load, contender) + figures.marks(load, figures.baseline)
    return _NONE if spread is None else spread.told() + "".join(sorted(set(marks)))


def latency(figures: Figures, load: str, contender: str, which: str) -> str:
    """Tell a percentile of the latency, in milliseconds."""
    spread = figures.of(load, contender, which)
    return _NONE if spread is None else spread.told(1e3)


def named(figures: Figures) -> list[str]:
    """Tell on what was measured, and what the marks mean; a sentence each."""
    machine, results = figures.results["machine"], figures.results
    base = figures.contenders[figures.baseline]
    return [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']},"
        f" {machine['python']}, Twisted {machine['twisted']}, uvloop {machine['uvloop']},"
        f" {machine['date']}.",
        f"Medians (least{_NONE}greatest) of {results['rounds']} interleaved round(s) of"
        f" {results['seconds']:g} s; ratios are to {base} in the same round.",
        "\\* other programs used more than 10 % of a core in some round;"
        " \\+ the generator was at its limit.",
        *results["notes"],
    ]


def text(figures: Figures) -> str:
    """Return the table for people at a terminal."""
    head = ("", "rate", "ratio", "p50 ms", "p99 ms", "CPU us/op")
    lines = [each.replace("\\", "") for each in named(figures)]
    for load, about in figures.loads.items():
        rows = [(about["title"], *head[1:])]
        for contender, title in figures.contenders.items():
            used = figures.of(load, contender, "cpu") if about["kind"] in _COUNTED else None
            rows.append(
                (
                    "  " + title,
                    cell(figures, load, contender),
                    ratio(figures, load, contender),
                    latency(figures, load, contender, "p50"),
                    latency(figures, load, contender, "p99"),
                    used.told() if used else _NONE,
                )
            )
        lines += ["", *_aligned(rows)]
    lines += ["", *(f"failed: {each}" for each in figures.failures())]
    return "\n".join(lines).rstrip() + "\n"


_COUNTED = ("request", "storm")


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(each) for each in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(each.ljust(width) for each, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def rst(figures: Figures) -> str:
    """Return the tables for the page: ratios and what they are to, and latencies."""
    base = figures.baseline
    others = [each for each in figures.contenders if each != base]
    rows = [["load", figures.contenders[base], *(figures.contenders[each] for each in others)]]
    for load, about in figures.loads.items():
        tell = cell if about["kind"] == "idle" else ratio
        cells = [cell(figures, load, base), *(tell(figures, load, each) for each in others)]
        rows.append([about["title"], *map(_escaped, cells)])
    latencies = [["latency in ms", *(figures.contenders[each] for each in [base, *others])]]
    for load, about in figures.loads.items():
        for which in ("p50", "p99") if about["kind"] == "request" else ():
            cells = [latency(figures, load, each, which) for each in [base, *others]]
            latencies.append([f"{about['title']}, {which}", *cells])
    tables = [_listTable(each) for each in (rows, latencies) if len(each) > 1]
    return "\n".join([*tables, " ".join(named(figures)), ""])


def _escaped(text: str) -> str:
    return text.replace("*", "\\*").replace("+", "\\+")


def _listTable(rows: list[list[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for first, *others in rows:
        lines += [f"   * - {first}", *(f"     - {each}" for each in others)]
    return "\n".join(lines) + "\n"
