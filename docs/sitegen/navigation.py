"""Tables of contents from the links of the pages that list others, so that no list is kept twice."""

from __future__ import annotations

import re

#: The pages that list others, besides index.md, which lists these.
SECTIONS = ("tutorials", "how_to", "explanation", "benchmarks", "project")

_TOCTREE = """

```{{toctree}}
:hidden:

{pages}
```
"""


def links(text: str) -> list[str]:
    """The pages that the items of a page's lists begin with, in order, without `.md`."""
    return re.findall(r"^- \[[^\]]*\]\(([\w/.]+?)(?:\.md|\.rst)(?:#[\w-]+)?\)", text, flags=re.MULTILINE)


def with_contents(page: str, text: str) -> str:
    """The text of a page, and of one that lists others, the hidden table of contents that the menu shows."""
    if page == "index":
        text = text.replace("\n- Reference:", "\n- [Reference](reference/index.rst):")  # which GitHub does not have
    if page in ("index", *SECTIONS):
        return text + _TOCTREE.format(pages="\n".join(links(text)))
    return text
