"""The picture: for each load a bar a server, the ratio to the baseline, with its spread."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from benchmarks.figures import Figures, Spread

_LEFT, _RIGHT, _WIDTH = 190, 120, 820
_BAR, _GAP, _HEAD = 13, 14, 64
#: Longer bars are cut: one that is three times the baseline would make all others short.
_LONGEST = 3.0

#: For a light and a dark page alike.
_COLOURS = {
    "c": "#8b949e",
    "lab": "#d9480f",
    "before": "#fcc2a2",
    "eager": "#f59f00",
    "stock": "#4c8dd6",
    "asyncio": "#2f9e62",
    "uvloop": "#9c6ade",
}

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 } .small { font-size: 10px }
  .line { stroke: #24292f; stroke-width: 1 } .faint { stroke: #8b949e; stroke-opacity: .35 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .line { stroke: #e6edf3 } }
"""


def svg(figures: Figures) -> str:
    """Return the picture; it needs nothing but itself, and is readable on light and dark pages."""
    shown = [each for each in figures.contenders if each != figures.baseline]
    groups = [
        (about["title"], [(each, figures.ratio(load, each)) for each in shown])
        for load, about in figures.loads.items()
        if about["kind"] != "idle"
    ]
    highs = [ratio.high for _, bars in groups for _, ratio in bars if ratio]
    scale = _Scale(min(_LONGEST, math.ceil(4 * max([1.0, *highs])) / 4))
    height = _HEAD + len(groups) * (len(shown) * _BAR + _GAP) + 46
    base = figures.contenders[figures.baseline]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" role="img">',
        f"<title>Echo servers beside {escape(base)}</title>",
        f"<style>{_STYLE}</style>",
        _text(8, 20, f"Echo: how much of {base}, one core each (1.0 is as fast)", "title"),
        *_legend(figures, shown),
        *_axis(scale, height - 38),
    ]
    top = _HEAD
    for title, bars in groups:
        parts.append(_text(_LEFT - 10, top + len(bars) * _BAR / 2 + 4, title, anchor="end"))
        for number, (contender, ratio) in enumerate(bars):
            parts += _bar(scale, top + number * _BAR, _COLOURS[contender], ratio)
        top += len(bars) * _BAR + _GAP
    machine, results = figures.results["machine"], figures.results
    about = (
        f"{machine['cpu']}, {machine['kernel']}, {machine['python']},"
        f" Twisted {machine['twisted']}. Median of {results['rounds']} round(s);"
        " the line across a bar goes from least to greatest."
    )
    parts += [_text(8, height - 8, about, "small"), "</svg>"]
    return "\n".join(parts) + "\n"


class _Scale:
    def __init__(self, longest: float) -> None:
        self.longest = longest

    def x(self, ratio: float) -> float:
        """Return where a ratio is."""
        share = min(ratio, self.longest) / self.longest
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _legend(figures: Figures, shown: list[str]) -> list[str]:
    parts, x = [], 8.0
    for each in shown:
        title = figures.contenders[each]
        parts.append(f'<rect x="{x}" y="32" width="11" height="11" fill="{_COLOURS[each]}"/>')
        parts.append(_text(x + 16, 42, title))
        x += 34 + 6.6 * len(title)
    return parts


def _axis(scale: _Scale, bottom: float) -> list[str]:
    parts = []
    for step in range(int(scale.longest * 4) + 1):
        ratio = step / 4
        x, kind = scale.x(ratio), "line" if ratio in (0, 1) else "faint"
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{_HEAD - 8}" y2="{bottom}"/>')
        if step % 2 == 0 or ratio == 1:
            parts.append(_text(x, bottom + 13, f"{ratio:g}", "small", "middle"))
    return parts


def _bar(scale: _Scale, y: float, colour: str, ratio: Spread | None) -> list[str]:
    if ratio is None:
        return [_text(_LEFT + 4, y + 10, "failed", "small")]
    zero, x, low, high = (scale.x(each) for each in (0, ratio.median, ratio.low, ratio.high))
    middle = y + (_BAR - 2) / 2
    return [
        f'<rect x="{zero}" y="{y}" width="{round(x - zero, 1)}" height="{_BAR - 2}"'
        f' fill="{colour}"/>',
        f'<line class="line" x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/>',
        _text(max(x, high) + 5, y + 10, ratio.told(), "small"),
    ]
