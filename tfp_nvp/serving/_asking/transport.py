"""Requests to a model server over a protocol."""

from __future__ import annotations

import abc

from tfp_nvp.serving._asking.specs import Arrays, Specs

#: Bytes of an answer at most, by which neither a wrong nor a hostile server fills the memory.
LARGEST_ANSWER = 2**29


class Transport(abc.ABC):
    """Requests about one model over one protocol.

    Every method raises `ServingError`: `TimedOut` if the answer is not complete after `timeout` seconds.
    """

    @abc.abstractmethod
    def predict(self, signature: str, inputs: Arrays, outputs: Specs, timeout: float) -> Arrays:
        """Outputs by name of a signature with the output specs `outputs`; strings as bytes."""

    @abc.abstractmethod
    def metadata(self, timeout: float) -> dict[str, tuple[Specs, Specs]]:
        """Inputs and outputs of each signature."""

    @abc.abstractmethod
    def status(self, timeout: float) -> dict[int, str]:
        """State of each version."""

    @abc.abstractmethod
    def close(self) -> None:
        """Ends the connections."""
