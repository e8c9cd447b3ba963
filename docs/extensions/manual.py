"""The pages of the manual: no links, and lists in place of tables."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx


def listed(table: nodes.table) -> nodes.definition_list:
    """Make a list of a table: the first column is the term, the last one its meaning."""
    items = []
    for row in next(table.findall(nodes.tbody)).children:
        first, *between, last = row.children
        term = nodes.term("", first.astext(), *(nodes.Text(f" ({x.astext()})") for x in between))
        items.append(nodes.definition_list_item("", term, nodes.definition("", *last.children)))
    return nodes.definition_list("", *items)


def simplify(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Name a page by its title where no link can be followed, and turn tables into lists."""
    if app.builder.name == "man":
        for link in list(doctree.findall(nodes.reference)):
            link.replace_self(nodes.emphasis("", link.astext()))
        for table in list(doctree.findall(nodes.table)):
            table.replace_self(listed(table))


def setup(app: Sphinx) -> dict[str, bool]:
    """Change what is read before it is written."""
    app.connect("doctree-resolved", simplify)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
