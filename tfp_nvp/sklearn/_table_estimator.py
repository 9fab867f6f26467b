"""The base of the estimators around `tfp_nvp.fit`."""

from __future__ import annotations

from typing import Any

from tfp_nvp.sklearn._estimator import FlowEstimator, seed_of, unfitted
from tfp_nvp.training import FlowModel, Plan, fit


class TableEstimator(FlowEstimator):
    """Keeps the arguments of `tfp_nvp.fit`, and calls it with them; `FlowDensity` describes them."""

    def __init__(
        self,
        *,
        flow: Any = None,
        support: Any = None,
        tails: str = "asinh",
        stack: bool = False,
        members: int = 5,
        validation_split: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        plan: Plan | None = None,
        time_limit: float | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ):
        self.flow = flow
        self.support = support
        self.tails = tails
        self.stack = stack
        self.members = members
        self.validation_split = validation_split
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.plan = plan
        self.time_limit = time_limit
        self.verbose = verbose
        self.random_state = random_state

    def _fit_model(self, x: Any, condition: Any = None, **kwargs: Any) -> FlowModel:
        return fit(
            x,
            condition,
            flow=unfitted(self.flow),
            support=self.support,
            tails=self.tails,
            stack=self.stack,
            members=self.members,
            validation_split=self.validation_split,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            plan=self.plan,
            time_limit=self.time_limit,
            verbose=self.verbose,
            seed=seed_of(self.random_state),
            **kwargs,
        )
