"""The error of settings that make no sense, and the hint at a name that is spelt alike."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(typed: str, known: Iterable[str]) -> str:
    """
    Name the known word that is spelt most like the typed one.

    Case, hyphens and underscores do not count: ``linger-timeout`` is near ``lingerTimeout``.

    :return: ``" (did you mean echo?)"``, or the empty text if no word is near.
    """
    plain = {_plain(name): name for name in known}
    found = get_close_matches(_plain(typed), plain, n=1)
    return f" (did you mean {plain[found[0]]}?)" if found else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


class SettingsError(ValueError):
    """
    The lab cannot be made or started as it is configured.

    The text is one line that says what to do. A mistake in a single option, a SPEC or a fault is
    found as a ``ValueError`` of its package; the settings raise it as this error.
    """
