"""Check that every link of the built site leads to something on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging

_HREF = re.compile(r"<a\b[^>]*?\bhref=\"([^\"]+)\"")
_ANCHOR = re.compile(r"\b(?:id|name)=\"([^\"]+)\"")


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return what a link to a page may name."""
    return frozenset(map(unescape, _ANCHOR.findall(path.read_text("utf-8"))))


def broken(site: Path) -> Iterator[str]:
    """
    Yield the links of the pages below a folder that lead nowhere, each with its page.

    Links between the pages of the API are left to pydoctor.
    """
    api = site / "api"
    for page in sorted(site.rglob("*.html")):
        for link in sorted({unescape(each) for each in _HREF.findall(page.read_text("utf-8"))}):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            if page.parent == api == target.parent:
                continue
            named = not url.fragment or target.suffix != ".html"
            if not target.exists() or not (named or unquote(url.fragment) in anchors(target)):
                yield f"{page.relative_to(site)}: {link}"


def check(app: Sphinx, exception: Exception | None) -> None:
    """Warn of each broken link."""
    if exception is None and app.builder.name == "html":
        for link in broken(Path(app.outdir).resolve()):
            logging.getLogger(__name__).warning("broken link: %s", link)


def setup(app: Sphinx) -> dict[str, bool]:
    """Check once pydoctor's pages are in their place."""
    app.connect("build-finished", check, priority=950)
    return {"parallel_read_safe": True}
