"""The error of settings that make no sense, and the hint at what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(typed: str, known: Iterable[str]) -> str:
    """
    Name what ``typed`` was probably meant to be.

    Case, hyphens and underscores make no difference: ``linger-timeout`` is near ``lingerTimeout``.

    :return: ``" (did you mean echo?)"``, or the empty text when nothing is near.
    """
    plain = {_plain(name): name for name in known}
    found = get_close_matches(_plain(typed), plain, n=1)
    return f" (did you mean {plain[found[0]]}?)" if found else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


class SettingsError(ValueError):
    """The lab cannot do what it was asked to; the text is one line that says what to do."""
