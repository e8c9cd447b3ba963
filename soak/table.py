"""The table: as text for people at a terminal, and as reStructuredText for the documentation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from soak.figures import Row

HEAD = ("case", "what was done", "asked", "measured", "")
#: What fits beside each other on a terminal of 150 columns; the rest goes on below.
_WIDTHS = (4, 50, 50, 30, 8)
#: Of the page's width, in percent.
_PERCENT = (6, 34, 30, 20, 10)


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the cells of each row; what was done is said once where it has several figures."""
    found: list[tuple[str, ...]] = []
    last: tuple[int, str] | None = None
    for row in rows:
        key = (row.case, row.done)
        first = (str(row.case), row.done) if key != last else ("", "")
        last = key
        found.append((*first, row.asked, row.measured, row.verdict.value))
    return found


def line(row: Row) -> str:
    """Tell one row while it is news."""
    asked = f"{row.asked}: " if row.asked else ""
    return f"{row.case:3} {row.verdict.value:8} {row.done}; {asked}{row.measured}"


def text(rows: Sequence[Row]) -> str:
    """Return the table for a terminal."""
    lines = [_drawn(each) for each in (HEAD, tuple("-" * width for width in _WIDTHS), *cells(rows))]
    return "\n".join(lines) + "\n"


def _drawn(row: tuple[str, ...]) -> str:
    columns = [textwrap.wrap(each, width) or [""] for each, width in zip(row, _WIDTHS, strict=True)]
    height = max(len(column) for column in columns)
    lines = []
    for number in range(height):
        parts = [
            (column[number] if number < len(column) else "").ljust(width)
            for column, width in zip(columns, _WIDTHS, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def rst(rows: Sequence[Row]) -> str:
    """Return the table as a ``list-table``."""
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        f"   :widths: {' '.join(map(str, _PERCENT))}",
        "",
    ]
    for first, *others in (HEAD, *(tuple(map(escaped, each)) for each in cells(rows))):
        lines += [f"   * - {first}".rstrip(), *(f"     - {each}".rstrip() for each in others)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Write a text so that reStructuredText takes it as it is."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def summary(rows: Sequence[Row]) -> str:
    """Say how many rows there are of each kind."""
    counts = {each.verdict: 0 for each in rows}
    for each in rows:
        counts[each.verdict] += 1
    return ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items())
