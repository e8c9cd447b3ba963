"""The hint at a known word that is spelt like the typed one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_NO_SYNONYMS: Mapping[str, str] = {}


def suggest(typed: str, known: Iterable[str], synonyms: Mapping[str, str] = _NO_SYNONYMS) -> str:
    """
    Name the known word that was probably meant.

    Case, hyphens and underscores do not count: ``linger-timeout`` is near ``lingerTimeout``.

    :param synonyms: other words for the known ones; one of them counts before any spelling. A wide
        word has several, as they are printed: ``latency or bandwidth``.
    :return: ``" (did you mean echo?)"``, or the empty text if no word is near.
    """
    plain = {_plain(name): name for name in known}
    meant = {_plain(word): name for word, name in synonyms.items()}
    if _plain(typed) in meant:
        return f" (did you mean {meant[_plain(typed)]}?)"
    found = get_close_matches(_plain(typed), plain, n=1)
    return f" (did you mean {plain[found[0]]}?)" if found else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
