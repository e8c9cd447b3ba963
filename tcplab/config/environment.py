"""
Options from environment variables, for containers: ``TCPLAB_PORT`` is ``--port``.

An option that may be repeated has its values in one variable, with semicolons between them. A
variable that is empty is not set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from tcplab.config.optionparsers import Option, Words
from tcplab.wire.suggestion import suggest

_PREFIX = "TCPLAB_"
# Variables that are no options: a worker is started with the first.
_OTHERS = ("TCPLAB_WORKER",)


def variable(option: Option) -> str:
    """Return the name of the variable of an option."""
    return _PREFIX + option.flag.removeprefix("--").replace("-", "_").upper()


def fromEnvironment(
    environment: Mapping[str, str], options: Mapping[str, Option]
) -> dict[str, Words]:
    """Return the words that the environment has, by the options' names."""
    words: dict[str, Words] = {}
    if _PREFIX not in " ".join(environment):
        return words
    for name, option in options.items():
        if word := environment.get(variable(option)):
            words[name] = list(_divided(word)) if option.repeatable else word
    return words


def unknownVariables(environment: Iterable[str], options: Mapping[str, Option]) -> list[str]:
    """Describe the variables that look like options and are none, one line each."""
    known = [variable(each) for each in options.values()]
    unknown = {each for each in environment if each.startswith(_PREFIX)} - {*known, *_OTHERS}
    ends = [each.removeprefix(_PREFIX) for each in known]
    lines = []
    for name in sorted(unknown):
        near = suggest(name.removeprefix(_PREFIX), ends).replace("mean ", f"mean {_PREFIX}")
        lines.append(f"{name} in the environment is no option{near}: it changes nothing")
    return lines


def _divided(word: str) -> Iterator[str]:
    # At semicolons; \; is a plain one, other escapes belong to the value.
    for part in re.findall(r"(?:\\.|[^;\\]|\\\Z)+", word, re.DOTALL):
        if stripped := part.strip():
            yield stripped.replace("\\;", ";")
