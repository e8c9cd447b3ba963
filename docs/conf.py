"""How Sphinx builds the site and, by pydoctor, the pages of the API: see ``make docs``."""

import re
import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS / "extensions")]

import tcplab  # noqa: E402

project = "tcplab"
release = version = tcplab.__version__
copyright = "the tcplab contributors"

extensions = [
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

#: What has a compatibility policy: what these export.
PUBLIC = (
    *("tcplab", "tcplab.protocols", "tcplab.testing"),
    *("tcplab.observers", "tcplab.policies", "tcplab.faults"),
)


#: What the transport and the framework call: no program does, and no subclass overrides it.
MACHINERY = """
    closeGracefully closeWrite connected dataReceived deliver ending flow handshakeCompleted
    makeConnection peerFinished producerUnregistered raw setDataHook started writeConnectionLost
"""


def privacy() -> list[str]:
    """Return the rules by which pydoctor hides all that is not public."""
    modules = (
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "tcplab").rglob("*.py"))
    )
    hidden = [name for name in modules if name not in PUBLIC]
    hidden += [f"tcplab.protocols.*.{name}" for name in MACHINERY.split()]
    return [f"PRIVATE:{name}" for name in (*hidden, "**.__*__")]


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
    *(f"--privacy={rule}" for rule in privacy()),
]
pydoctor_url_path = "api"

#: A link of a page at the top of the project, which is read in two places.
_LINK = re.compile(r"`([^`]+?) <docs/([\w/-]+)\.rst>`_")


def linkPages(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    """Make links of the site out of those that lead to its pages."""
    content[0] = _LINK.sub(r":doc:`\1 </\2>`", content[0])


def finishAPI(app: Sphinx, exception: Exception | None) -> None:
    """Link the interfaces of Twisted, and remove Sphinx's own page, which pydoctor's replace."""
    if exception is not None or app.builder.name != "html":
        return
    shutil.rmtree(app.outdir / "api.sphinx_files", ignore_errors=True)
    for path in (app.outdir / "api").glob("tcplab.*.html"):
        page = path.read_text("utf-8")
        linked = re.sub(r"(?<=<p>Implements interfaces: ).*?(?=</p>)", _linkNames, page)
        if linked != page:
            path.write_text(linked, "utf-8")


def _linkNames(names: re.Match[str]) -> str:
    link = rf'<a href="{INVENTORIES["twisted"]}\g<0>.html">\g<0></a>'
    return re.sub(r"\btwisted(?:\.\w+)+", link, names[0])


def setup(app: Sphinx) -> None:
    """Register what stands above."""
    app.connect("build-finished", finishAPI, priority=900)
    app.connect("include-read", linkPages)
