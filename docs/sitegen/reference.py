"""The reference: a page for each public name, from `tfp_nvp._names`, which owns the list."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from tfp_nvp._names import IMAGE_FLOWS, NAMES

#: Packages in the order in which a newcomer needs them.
PACKAGES = (
    "training",
    "flows",
    "distributions",
    "bijectors",
    "transformers",
    "conditioners",
    "solvers",
    "any_order",
    "evaluation",
    "serving",
    "sklearn",
    "testing",
)
MODULES = ("masks",)


def entries() -> dict[str, list[str]]:
    """Package → its public names, all that `tfp_nvp._names` has."""
    known = [package for package in PACKAGES if f"tfp_nvp.{package}" in NAMES]
    others = [package.partition(".")[2] for package in NAMES if package != "tfp_nvp"]
    return {package: sorted(NAMES[f"tfp_nvp.{package}"]) for package in dict.fromkeys([*known, *others])}


def shortcuts() -> dict[str, str]:
    """Names of `tfp_nvp` itself → where their pages are, "training/fit"; those of packages and modules, "training"."""
    home = {module: package for package in entries() for module in NAMES[f"tfp_nvp.{package}"].values()}
    places = {}
    for name, module in NAMES["tfp_nvp"].items():
        package = module.split(".")[1]
        places[name] = package if module == f"tfp_nvp.{name}" else f"{home.get(module, package)}/{name}"
    return places


def targets() -> dict[str, str]:
    """What docstrings write between backticks → the full name that it means.

    `bijectors.Coupling` and `tfp_nvp.bijectors.Coupling` are understood, `nvp.fit` and `tfp_nvp.fit`, and `Coupling`
    alone where one package has such a class.
    """
    found: dict[str, str] = {}
    alone: dict[str, list[str]] = {}
    for package, names in entries().items():
        for name in names:
            full = f"tfp_nvp.{package}.{name}"
            found |= {f"{package}.{name}": full, full: full}
            alone.setdefault(name, []).append(full)
    for name, place in shortcuts().items():
        if "/" in place:
            full = "tfp_nvp." + place.replace("/", ".")
            found |= {f"nvp.{name}": full, f"tfp_nvp.{name}": full}
    return found | {name: full[0] for name, full in alone.items() if len(full) == 1 and name[0].isupper()}


def pages() -> dict[str, str]:
    """File name → text of all pages."""
    texts = {"index.rst": _index()}
    for package, names in entries().items():
        module = importlib.import_module(f"tfp_nvp.{package}")
        texts[f"{package}.rst"] = _package(package, names, module)
        texts |= {f"{package}/{name}.rst": _page(package, name, getattr(module, name)) for name in names}
    for module in MODULES:
        title = f"tfp_nvp.{module}"
        texts[f"{module}.rst"] = f"{_title(title)}.. automodule:: {title}\n   :members:\n"
    return texts


def _title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n\n"


def _contents(names: list[str]) -> str:
    return ".. toctree::\n   :hidden:\n\n" + "".join(f"   {name}\n" for name in names) + "\n"


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [".. list-table::\n   :widths: 30 70\n\n"]
    lines += [f"   * - {name}\n     - {text}\n" for name, text in rows]
    return "".join(lines) + "\n"


def _index() -> str:
    packages = [(f":doc:`tfp_nvp.{name} <{name}>`", _summary(_module(name))) for name in (*entries(), *MODULES)]
    rows = [
        (f":doc:`nvp.{name} <{place}>`", f":py:obj:`tfp_nvp.{place.replace('/', '.')}`")
        for name, place in sorted(shortcuts().items())
        if "/" in place
    ]
    return (
        _title("Reference")
        + "Every public name, from its docstring. Modules and packages whose names begin with an underscore are "
        + "private.\n\n"
        + _table(packages)
        + _title("Names of tfp_nvp itself", "-")
        + "After ``import tfp_nvp as nvp``:\n\n"
        + _table(rows)
        + _contents([*entries(), *MODULES])
    )


def _module(name: str) -> Any:
    return importlib.import_module(f"tfp_nvp.{name}")


def _package(package: str, names: list[str], module: Any) -> str:
    title = f"tfp_nvp.{package}"
    groups = {"": names}
    if package == "flows":
        groups = {
            "Of vectors": [name for name in names if name not in IMAGE_FLOWS],
            "Of images": [name for name in names if name in IMAGE_FLOWS],
        }
    text = f"{_title(title)}.. automodule:: {title}\n   :no-members:\n\n"
    for group, members in groups.items():
        text += _title(group, "-") if group else ""
        text += _table([(f":py:obj:`~{title}.{name}`", _summary(getattr(module, name))) for name in members])
    return text + _contents([f"{package}/{name}" for name in names])


def _page(package: str, name: str, value: Any) -> str:
    full = f"tfp_nvp.{package}.{name}"
    text = _title(name) + f".. py:currentmodule:: tfp_nvp.{package}\n\n"
    if not inspect.isclass(value):
        return text + f".. autofunction:: {full}\n"
    if issubclass(value, Exception):
        return text + f".. autoexception:: {full}()\n   :no-members:\n   :show-inheritance:\n"
    own, inherited = members_of(value)
    text += f".. autoclass:: {full}\n"
    text += f"   :members: {', '.join(own)}\n" if own else "   :no-members:\n"
    for base, names in inherited.items():
        links = ", ".join(f":py:obj:`~{base}.{member}`" for member in names)
        text += f"\nIt has what :py:obj:`~{base}` has, too: {links}.\n"
    return text


def members_of(value: type) -> tuple[list[str], dict[str, list[str]]]:
    """The documented members of a class and of its private bases here; and public bases → theirs, in order."""
    public = {
        getattr(_module(package), name): f"tfp_nvp.{package}.{name}"
        for package, names in entries().items()
        for name in names
    }
    own: list[str] = []
    inherited: dict[str, list[str]] = {}
    seen: set[str] = set()
    for base in value.__mro__:
        if not base.__module__.startswith("tfp_nvp."):
            continue
        members = {name for name in vars(base) if not name.startswith("_")}
        names = [name for name in vars(base) if name in members - seen and _is_documented(base, name)]
        if base not in public:  # what it answers Keras and TFP is no business of users
            names = [name for name in names if not any(hasattr(other, name) for other in _others(value))]
        seen |= members
        if base is value or base not in public:
            own += names
        elif names:
            inherited[public[base]] = names
    return own, inherited


def _others(base: type) -> list[type]:
    return [other for other in base.__mro__ if not other.__module__.startswith("tfp_nvp.")]


def _is_documented(base: type, name: str) -> bool:
    """Whether a member is a method or property of this package, with a docstring of its own."""
    member = vars(base)[name]
    member = getattr(member, "__func__", getattr(member, "fget", None) or member)
    # TFP's metaclass puts methods of its own into classes.
    is_ours = str(getattr(inspect.unwrap(member) if callable(member) else member, "__module__", "")).startswith(
        "tfp_nvp"
    )
    return is_ours and callable(member) and bool(getattr(member, "__doc__", None)) and not inspect.isclass(member)


def _summary(value: Any) -> str:
    """The first sentence of a docstring, as reStructuredText."""
    from sitegen.docstrings import inline

    paragraph = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
    return inline(paragraph.partition(". ")[0].rstrip(".")) + "."
