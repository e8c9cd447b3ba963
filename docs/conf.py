"""How Sphinx builds the site: see ``make docs``."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import tcplab  # noqa: E402

project = "tcplab"
release = version = tcplab.__version__
copyright = "the tcplab contributors"

extensions: list[str] = []
nitpicky = True
highlight_language = "none"
exclude_patterns: list[str] = []

html_theme = "furo"
html_title = "tcplab"

#: A link of a page at the top of the project, which is read in two places.
_LINK = re.compile(r"<docs/([\w/-]+)\.rst>`_")


def linkPages(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    """Make links of the site out of those that lead to its pages."""
    content[0] = re.sub(rf"`([^`]+?) {_LINK.pattern}", r":doc:`\1 </\2>`", content[0])


def setup(app: Sphinx) -> None:
    """Register what stands above."""
    app.connect("include-read", linkPages)
