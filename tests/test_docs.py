"""What the documents point to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), *(ROOT / "saved_models").glob("*.md")])


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    lines = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", lines, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_in_the_text_exist(page: Path):
    for name in re.findall(r"`((?:tfp_nvp|tests|examples|docs|benchmarks)/[\w/.]+\.\w+)`", page.read_text()):
        assert (ROOT / name).exists(), name


def test_the_folder_tree_is_that_of_the_package():
    """docs/architecture.md lists every module of the package, and no other."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    tree = re.search(r"^## The folders.*?^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE).group(1)
    listed = set(re.findall(r"[\w.]+\.py\b", tree))
    files = {path.name for path in (ROOT / "tfp_nvp").rglob("*.py") if path.parent.name == "tfp_nvp" or path.name != "__init__.py"}
    assert listed == files
