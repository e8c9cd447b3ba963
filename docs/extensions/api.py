"""The pages of the API, which pydoctor builds: what is public on them, and links both ways."""

from __future__ import annotations

import re
import shutil
from importlib import import_module
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.ext.intersphinx import InventoryAdapter

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


def privacy(root: Path) -> list[str]:
    """Return the rules by which pydoctor hides all that is not public."""
    modules = (
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((root / "tcplab").rglob("*.py"))
    )
    hidden = [name for name in modules if name not in PUBLIC]
    hidden += [f"tcplab.protocols.*.{name}" for name in MACHINERY.split()]
    return [f"PRIVATE:{name}" for name in (*hidden, "**.__*__")]


def pages(app: Sphinx) -> dict[str, str]:
    """Return the full name of each public class and function by what a page calls it."""
    inventory = InventoryAdapter(app.env).main_inventory
    known = {name for kind in inventory if kind.startswith("py:") for name in inventory[kind]}
    found = {package: package for package in PUBLIC}
    for package in PUBLIC:
        for name in import_module(package).__all__:
            full = [f"{each}.{name}" for each in PUBLIC if f"{each}.{name}" in known]
            if full and re.search("[A-Z]", name):
                found[name] = found[f"{package}.{name}"] = full[0]
    return found


def linkNames(app: Sphinx, doctree: nodes.document) -> None:
    """Link the first mention of a public name on each page to its page of the API."""
    if app.builder.name != "html":
        return
    names = pages(app)
    for literal in list(doctree.findall(nodes.literal)):
        full = names.get(literal.astext().removesuffix("()"))
        parent = literal.parent
        if full is None or isinstance(
            parent, nodes.title | nodes.reference | addnodes.pending_xref
        ):
            continue
        link = addnodes.pending_xref(
            "", literal.deepcopy(), refdomain="py", reftype="obj", reftarget=full, refexplicit=True
        )
        link["refdoc"] = app.env.docname
        literal.replace_self(link)
        names = {name: each for name, each in names.items() if each != full}


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Link the interfaces of Twisted, and remove Sphinx's own page, which pydoctor's replace."""
    if exception is not None or app.builder.name != "html":
        return
    shutil.rmtree(app.outdir / "api.sphinx_files", ignore_errors=True)
    link = rf'<a href="{app.config.intersphinx_mapping["twisted"][1][0]}\g<0>.html">\g<0></a>'
    for path in (app.outdir / "api").glob("tcplab.*.html"):
        page = path.read_text("utf-8")
        linked = re.sub(
            r"(?<=<p>Implements interfaces: ).*?(?=</p>)",
            lambda names: re.sub(r"\btwisted(?:\.\w+)+", link, names[0]),
            page,
        )
        if linked != page:
            path.write_text(linked, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Link names once a page is read, and finish when pydoctor's pages are in their place."""
    app.connect("doctree-read", linkNames)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True}
