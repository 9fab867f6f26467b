"""What the site has beside the pages in docs: navigation, the reference, and the sources that pages point to.

navigation.py   tables of contents, from the links of the pages that list others
reference.py    a page for each public name, from `tfp_nvp._names`
docstrings.py   docstrings as reStructuredText
sources.py      examples, CONTRIBUTING and the like, to which pages link by relative paths
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sitegen import docstrings, navigation, reference, sources


def setup(app: Any) -> dict[str, Any]:
    """What Sphinx calls first."""
    app.connect("builder-inited", _write)
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", docstrings.process)
    app.connect("autodoc-process-signature", docstrings.signature)
    return {"parallel_read_safe": True}


def _write(app: Any) -> None:
    docs = Path(app.srcdir)
    write("reference", reference.pages(), docs)
    write("sources", sources.pages(docs.parent), docs)


def _read(app: Any, page: str, content: list[str]) -> None:
    content[0] = navigation.with_contents(page, sources.with_pages_for_files(page, content[0]))


def write(folder: str, pages: dict[str, str], docs: Path) -> None:
    """Writes the pages that have changed into a folder of docs, and removes those that are not among them."""
    wanted = {docs / folder / name for name in pages}
    for path in sorted((docs / folder).rglob("*.*")):
        if path not in wanted:
            path.unlink()
    for name, text in pages.items():
        path = docs / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
