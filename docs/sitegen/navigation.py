"""Tables of contents from the links of the pages that list others, so that no list is kept twice."""

from __future__ import annotations

import re

#: The pages that list others, in the order of the menu, which is that of index.md.
SECTIONS = ("tutorials", "how_to", "explanation", "benchmarks", "project")

_TOCTREE = """

```{{toctree}}
:hidden:

{pages}
```
"""


def links(text: str) -> list[str]:
    """The pages that a page links to, in order and once each, without `.md`."""
    found = re.findall(r"\]\(([\w/.]+?)(?:\.md|\.rst)?(?:#[\w-]+)?\)", text)
    return list(dict.fromkeys(link for link in found if not link.endswith((".png", ".py"))))


def with_contents(page: str, text: str) -> str:
    """The text of a page, and of one that lists others, the hidden table of contents that the menu shows."""
    if page == "index":
        return text + _TOCTREE.format(pages="\n".join([*SECTIONS[:3], "reference/index", *SECTIONS[3:]]))
    if page in SECTIONS:
        return text + _TOCTREE.format(pages="\n".join(links(text)))
    return text
