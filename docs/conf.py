"""How Sphinx builds the site and, by pydoctor, the pages of the API: see ``make docs``."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS / "extensions")]

from api import privacy  # noqa: E402

import tcplab  # noqa: E402

project = "tcplab"
release = version = tcplab.__version__
copyright = "the tcplab contributors"

extensions = [
    "api",
    "links",
    "manual",
    "reference",
    "pydoctor.sphinx_ext.build_apidocs",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
]
nitpicky = True
default_role = "any"
highlight_language = "none"

# The inventories are kept in the repository, so that a build needs no network.
INVENTORIES = {
    "python": "https://docs.python.org/3/",
    "twisted": "https://docs.twisted.org/en/stable/api/",
}
intersphinx_mapping = {name: (url, f"inventories/{name}.inv") for name, url in INVENTORIES.items()}

# The pages of the manual have parts of these pages: see ``make man``.
exclude_patterns = [] if tags.has("man") else ["man"]  # type: ignore[name-defined]  # noqa: F821
today = " "  # no date, so that the same sources make the same page
man_pages = [
    ("man/tcplab", "tcplab", "a TCP server and client", [], 1),
    ("man/tcplab-serve", "tcplab-serve", "start a TCP server", [], 1),
    ("man/tcplab-connect", "tcplab-connect", "talk to a TCP server", [], 1),
]

html_theme = "furo"
html_title = "tcplab"
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]

# A copy of a session has its commands, without prompts and without what they print.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

pydoctor_args = [
    "--add-package=tcplab",
    f"--project-base-dir={ROOT}",
    "--project-name=tcplab",
    "--docformat=restructuredtext",
    "--html-output={outdir}/api",
    f"--project-version={release}",
    "--project-url=../index.html",
    f"--template-dir={DOCS}/pydoctor",
    *(
        f"--intersphinx-file={DOCS}/inventories/{name}.inv::{url.rstrip('/')}"
        for name, url in INVENTORIES.items()
    ),
    *(f"--privacy={rule}" for rule in privacy(ROOT)),
]
pydoctor_url_path = "api"

#: A link of a page at the top of the project, which is read in two places.
_LINK = re.compile(r"`([^`]+?) <docs/([\w/-]+)\.rst>`_")


def linkPages(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    """Make links of the site out of those that lead to its pages."""
    content[0] = _LINK.sub(r":doc:`\1 </\2>`", content[0])


def setup(app: Sphinx) -> None:
    """Register what stands above."""
    app.connect("include-read", linkPages)
