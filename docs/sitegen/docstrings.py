"""Docstrings as reStructuredText.

A docstring here is plain text: paragraphs with `names` in backticks; formulas, indented after an empty line; sections
`Args:`, `Attributes:`, `Raises:` and `Returns:`; a last paragraph that begins with "References:"; and doctests.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator
from typing import Any

#: Titles of sections → those of fields. Sphinx' own fields take "low, high: text" for a name and its type.
_SECTIONS = {"Args:": "Arguments", "Attributes:": "Attributes", "Raises:": "Raises", "Returns:": "Returns"}


def process(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Sphinx's event `autodoc-process-docstring`: changes the lines in place."""
    lines[:] = "\n".join(converted(lines)).split("\n")


def signature(app: Any, what: str, name: str, value: Any, options: Any, arguments: Any, returned: Any) -> Any:
    """Sphinx's event `autodoc-process-signature`: that of `__init__`, as `__new__` captures whatever it is given."""
    if not inspect.isclass(value):
        return None
    if issubclass(value, Exception):
        return "", None
    from sphinx.util.inspect import stringify_signature

    parameters = list(inspect.signature(value.__init__).parameters.values())[1:]
    return stringify_signature(inspect.Signature(parameters), show_return_annotation=False), None


def converted(lines: list[str]) -> Iterator[str]:
    """The blocks of a docstring, each followed by an empty line."""
    for block in _blocks(lines):
        first = block[0]
        if first in _SECTIONS and len(block) > 1:
            yield from _fields(_SECTIONS[first], block[1:])
        elif first.startswith(">>>"):
            yield from (".. code-block:: pycon\n", *("   " + line for line in block))
        elif first.startswith(" "):
            yield from (".. code-block:: text", "   :class: formula\n", *("   " + line for line in _dedented(block)))
        elif first.startswith(("References:", "Reference:")):
            title, _, rest = " ".join(block).partition(":")
            yield f"**{title}.** {_with_arxiv(inline(rest.strip()))}"
        else:
            yield inline(" ".join(block))
        yield ""


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Runs of lines between empty ones; a section's empty lines are its own where its indented text goes on."""
    block: list[str] = []
    gap = 0
    for line in lines:
        if not line.strip():
            gap += 1
        elif block and (not gap or (block[0] in _SECTIONS and line.startswith("  "))):
            block.append(line.rstrip())
            gap = 0
        else:
            if block:
                yield block
            block, gap = [line.rstrip()], 0
    if block:
        yield block


def _fields(title: str, lines: list[str]) -> Iterator[str]:
    """A field with a list of a section's entries, "name: text" or "name, name: text"; `Returns:` is text."""
    lines = _dedented(lines)
    if title == "Returns" and not all(re.match(r"\w+: | ", line) for line in lines):
        yield f":{title}: {inline(' '.join(line.strip() for line in lines))}"
        return
    entries: list[str] = []
    for line in lines:
        if line.startswith(" ") and entries:
            entries[-1] += " " + line.strip()
        else:
            entries.append(line)
    yield f":{title}:"
    for entry in entries:
        found = re.match(r"([\w*]+(?:, [\w*]+)*): ", entry)
        if not found:
            yield f"   * {inline(entry)}"
            continue
        names = [_code(name) if name in _targets() else f"**{_escaped(name)}**" for name in found[1].split(", ")]
        yield f"   * {', '.join(names)} – {inline(entry[found.end() :])}"


def _dedented(lines: list[str]) -> list[str]:
    width = min(len(line) - len(line.lstrip()) for line in lines)
    return [line[width:] for line in lines]


def inline(text: str) -> str:
    """Plain text with `names` as references or code, and all else that reStructuredText would read, escaped."""
    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    found = "".join(_code(part.strip("`")) if part.startswith("`") else _escaped(part) for part in parts)
    return re.sub(r"^(?=(\w|\d+|#)[.)]( |$)|[-+•] )", r"\\", found)  # the first letter of "f. …" is no number of a list


def _code(name: str) -> str:
    known = _targets()
    if name.strip("()") in known:
        return rf"\ :py:obj:`{name} <{known[name.strip('()')]}>`\ "
    return rf"\ ``{name}``\ "


@functools.cache
def _targets() -> dict[str, str]:
    from sitegen.reference import targets

    return targets()


def _escaped(text: str) -> str:
    """Text without names: documents become links, **words** stay bold, and other marks are escaped."""
    parts = re.split(r"(docs/[\w/]+\.md)", text)
    return "".join(
        f":doc:`/{part[5:-3]}`" if part.startswith("docs/") else re.sub(r"([\\*|`_])", r"\\\1", part) for part in parts
    )


def _with_arxiv(text: str) -> str:
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"`arXiv:\1 <https://arxiv.org/abs/\1>`__", text)
