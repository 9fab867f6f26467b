"""Pages of the files to which documents link by relative paths, so that a link works on GitHub and on the site."""

from __future__ import annotations

import re
from pathlib import Path

#: Documents outside docs, each with its page.
DOCUMENTS = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "saved_models/README.md": "saved_models.md",
}

_LICENSE = "LICENSE"


def pages(root: Path) -> dict[str, str]:
    """File name → text of the pages: documents as they are, scripts and the licence as listings."""
    texts = {page: _relinked(root / name, root) for name, page in DOCUMENTS.items()}
    texts["readme.md"] = texts["readme.md"].replace("# tfp_nvp\n", "# README\n", 1)  # index.md has that title
    scripts = sorted((root / "examples").glob("[0-9]*.py"))
    for script in scripts:
        title = f"{script.stem[:2]}. {script.stem[3:].replace('_', ' ').capitalize()}"
        texts[f"{script.stem}.rst"] = _listing(title, f"examples/{script.name}", "python")
    texts["license.rst"] = _listing("Licence", _LICENSE, "text")
    rows = "\n".join(f"- [{script.name}]({script.stem}.rst): {_first_line(script)}" for script in scripts)
    names = "\n".join(script.stem for script in scripts)
    texts["examples.md"] = (
        f"# Examples\n\nNumbered scripts, which the tests run with few steps.\n\n{rows}\n\n"
        f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    )
    return texts


def with_pages_for_files(page: str, text: str) -> str:
    """A document's links to files outside docs as links to their pages."""
    if page.startswith(("sources/", "reference/")):
        return text
    up = "../" * page.count("/")
    return re.sub(r"\]\((?:\.\./)+([\w/.]+)(#[\w-]+)?\)", lambda link: _link(link, up), text)


def _link(link: re.Match, up: str) -> str:
    path, anchor = link[1], link[2] or ""
    if path in DOCUMENTS:
        return f"]({up}sources/{DOCUMENTS[path]}{anchor})"
    if path.startswith("examples/"):
        return f"]({up}sources/{Path(path).stem}.rst)"
    if path == "examples":
        return f"]({up}sources/examples.md)"
    if path == _LICENSE:
        return f"]({up}sources/license.rst)"
    return link[0]


def _relinked(path: Path, root: Path) -> str:
    """A document of the root, with links as from docs/sources."""

    def moved(link: re.Match) -> str:
        target, anchor = link[1], link[2] or ""
        name = str(((path.parent / target).resolve()).relative_to(root.resolve()))
        if name in DOCUMENTS:
            return f"]({DOCUMENTS[name]}{anchor})"
        if name.startswith("examples/"):
            return f"]({Path(name).stem}.rst)"
        if name == _LICENSE:
            return "](license.rst)"
        return f"](../{name.removeprefix('docs/')}{anchor})"

    return re.sub(r"\]\((?![a-z]+:|#)([\w/.]+)(#[\w-]+)?\)", moved, path.read_text())


def _listing(title: str, path: str, language: str) -> str:
    return f"{title}\n{'=' * len(title)}\n\n``{path}``\n\n.. literalinclude:: ../../{path}\n   :language: {language}\n"


def _first_line(script: Path) -> str:
    return script.read_text().removeprefix('"""').split("\n", 1)[0]
