"""The hint at a known name that is spelt like the typed one."""

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
