"""The documentation site: what is listed, and how docstrings are read. `make docs` builds it; no test does."""

import inspect
import re
from pathlib import Path

import pytest

from tfp_nvp._names import NAMES

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)


def test_the_reference_has_every_public_name():
    from sitegen import reference

    listed = {f"tfp_nvp.{package}": set(names) for package, names in reference.entries().items()}
    assert listed == {package: set(names) for package, names in NAMES.items() if package != "tfp_nvp"}
    places = reference.shortcuts()
    assert set(places) == set(NAMES["tfp_nvp"])
    for name, place in places.items():
        package, _, entry = place.partition("/")
        assert (
            entry in listed[f"tfp_nvp.{package}"] if entry else package in {*reference.entries(), *reference.MODULES}
        ), name


def test_every_page_is_listed_once():
    """Each page of docs is linked to by one of those that list others, and so is in the menu."""
    from sitegen import navigation

    assert navigation.links((DOCS / "index.md").read_text()) == list(navigation.SECTIONS)
    sections = [(DOCS / f"{section}.md").read_text() for section in navigation.SECTIONS]
    listed = [page for section in sections for page in navigation.links(section) if not page.startswith("..")]
    pages = {
        str(path.relative_to(DOCS).with_suffix("")) for path in [*DOCS.glob("*.md"), *DOCS.glob("benchmarks/*.md")]
    }
    assert sorted(listed) == sorted(pages - {"index", *navigation.SECTIONS})


def test_names_that_pages_mention_exist():
    """`nvp.NAME` and `nvp.PACKAGE.NAME` of every page; of the tables of names, `b.NAME` and the like too."""
    short = {"b": "bijectors", "t": "transformers", "c": "conditioners"}
    tables = (DOCS / "coming_from.md").read_text()
    for letter, name in re.findall(r"`[^`|]*?\b([btc])\.([A-Z]\w+)", tables):
        assert name in NAMES[f"tfp_nvp.{short[letter]}"], name
    for page in [*DOCS.glob("*.md"), *DOCS.glob("benchmarks/*.md")]:
        for first, second in re.findall(r"\bnvp\.([A-Za-z]\w*)(?:\.(\w+))?", page.read_text()):
            assert first in NAMES["tfp_nvp"], f"{page.name}: nvp.{first}"
            package = NAMES.get(f"tfp_nvp.{first}")
            assert not second or package is None or second in package, f"{page.name}: nvp.{first}.{second}"


def test_menus_are_made_of_the_links_of_lists():
    from sitegen import navigation

    text = navigation.with_contents("tutorials", "- [One](one.md): first\n- [Two](sub/two.md#part)")
    assert re.search(r"toctree\}\n:hidden:\n\none\nsub/two\n```", text)
    assert navigation.with_contents("one", "text [Two](two.md)") == "text [Two](two.md)"


def test_links_to_files_outside_docs_lead_to_their_pages():
    from sitegen import sources

    text = "[a](../examples/01_two_moons.py) [b](../CONTRIBUTING.md#style) [c](fitting.md) [d](../examples)"
    wanted = "[a](sources/01_two_moons.rst) [b](sources/contributing.md#style) [c](fitting.md) [d](sources/examples.md)"
    assert sources.with_pages_for_files("index", text) == wanted
    pages = sources.pages(DOCS.parent)
    assert "](../architecture.md#the-words)" in pages["contributing.md"]
    assert "](contributing.md)" in pages["readme.md"]


def test_docstrings_become_restructured_text():
    from sitegen import docstrings

    text = """A map of `Coupling`, p(x | c) and threshold_.

            x = exp(s) · z

        Args:
          f: A function, of
            two lines.
          low, high: numbers.

        Raises:
          NotFound: if not.

        Returns:
          f.

        >>> 1 + 1
        2

        References: Dinh et al. (2017), arXiv:1605.08803."""
    found = "\n".join(docstrings.converted(inspect.cleandoc(text).splitlines()))
    assert r":py:obj:`Coupling <tfp_nvp.bijectors.Coupling>`\ , p(x \| c) and threshold\_." in found
    assert ".. code-block:: text\n   :class: formula\n\n   x = exp(s) · z" in found
    assert ":Arguments:\n   * **f** – A function, of two lines.\n   * **low**, **high** – numbers.\n" in found
    assert r":Raises:" + "\n" + r"   * \ :py:obj:`NotFound <tfp_nvp.serving.NotFound>`\  – if not." in found
    assert r":Returns: \f." in found
    assert ".. code-block:: pycon\n\n   >>> 1 + 1\n   2" in found
    assert "**References.** Dinh et al. (2017), `arXiv:1605.08803 <https://arxiv.org/abs/1605.08803>`__." in found
