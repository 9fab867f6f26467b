"""The report of a verifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence


class Skipped(Exception):
    """Raised by a check that does not apply; its text says why."""


@dataclasses.dataclass(frozen=True)
class Check:
    """The result of one check.

    `error` is relative to 1 + |correct value|, or a count; None if nothing was measured.
    """

    name: str
    status: str  # "passed", "failed" or "skipped"
    error: float | None = None
    tolerance: float | None = None
    message: str = ""

    def __str__(self) -> str:
        measured = "" if self.error is None else f"error {self.error:.1e}, tolerance {self.tolerance:.1e}"
        return f"{self.status:<8} {self.name:<19} {measured:<33} {self.message}".rstrip()


class Report:
    """The checks of one bijector or flow: a sequence of `Check`, and a table as text.

    `report["forward_log_det"]` is the check of that name.

    Args:
      subject: a name of the bijector or flow.
      tolerance: largest error of a check that passes.
      names: every name a check can have.
      only: the names to run, or None for all.
      skip: names not to run.

    Raises:
      ValueError: if `only` or `skip` holds another name.
    """

    def __init__(
        self,
        subject: str,
        *,
        tolerance: float,
        names: Sequence[str],
        only: Collection[str] | None = None,
        skip: Collection[str] = (),
    ):
        for argument, chosen in (("only", only or ()), ("skip", skip)):
            if isinstance(chosen, str) or not set(chosen) <= set(names):
                raise ValueError(f"`{argument}` must be a list of names out of {list(names)}; got {chosen!r}.")
        self.subject = subject
        self.tolerance = tolerance
        self.checks: list[Check] = []
        self._only = set(names if only is None else only)
        self._skip = set(skip)

    @property
    def failed(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if check.status == "failed"]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    def asks_for(self, names: Collection[str]) -> bool:
        """Whether the report is to have a check of one of these names."""
        return not self._only.isdisjoint(names)

    def measure(self, name: str, check: Callable[[], tuple[float, str]], tolerance: float | None = None) -> None:
        """Runs a check, which returns an error and a remark, and records the outcome.

        A check that raises has failed, unless it raises `Skipped`.
        """
        if name not in self._only:
            return
        if name in self._skip:
            self.checks.append(Check(name, "skipped", message="as asked"))
            return
        tolerance = self.tolerance if tolerance is None else tolerance
        try:
            error, message = check()
        except Skipped as reason:
            self.checks.append(Check(name, "skipped", message=str(reason)))
        except Exception as exception:  # a broken bijector may raise anything
            first_line = (str(exception).strip().splitlines() or [""])[0]
            message = f"{type(exception).__name__}: {first_line[:300]}"
            self.checks.append(Check(name, "failed", message=message))
        else:
            passed = error <= tolerance  # false for NaN
            self.checks.append(
                Check(name, "passed" if passed else "failed", error, tolerance, "" if passed else message)
            )

    def raise_on_failure(self) -> Report:
        """Returns the report; raises `AssertionError` with its text if a check failed."""
        if not self.passed:
            raise AssertionError(str(self))
        return self

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    def __str__(self) -> str:
        count = len(self.failed)
        outcome = f"{count} of {len(self)} checks failed" if count else f"{len(self)} checks, none failed"
        return "\n".join([f"{self.subject}: {outcome}", *(f"  {check}" for check in self.checks)])

    def __repr__(self) -> str:
        return f"<Report {str(self).splitlines()[0]}>"
