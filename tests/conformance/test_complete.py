"""Fails when something public is missing from the table."""

import inspect

import pytest

from tests.conformance.cases import BIJECTORS, FLOWS, built
from tfp_nvp import bijectors, conditioners, flows, transformers
from tfp_nvp._names import NAMES

#: In autoregressive layers these are in tests/bijectors/test_autoregressive.py.
SLOW = {transformers.DeepSigmoidal, transformers.SumOfSquares, transformers.UnconstrainedMonotonic}
#: What is there to be derived from, and can't be built.
ABSTRACT = {bijectors.Bijector, transformers.Transformer}


def public_classes(package) -> list[type]:
    values = [getattr(package, name) for name in NAMES[package.__name__]]
    return [value for value in values if inspect.isclass(value) and value not in ABSTRACT]


def layers(kind: type) -> list:
    """Every bijector of a kind that a case is, or holds."""
    modules = [module for case in BIJECTORS + FLOWS for module in (built(case), *built(case).submodules)]
    return [module for module in modules if isinstance(module, kind)]


@pytest.mark.parametrize("kind", public_classes(bijectors))
def test_every_public_bijector_is_a_case(kind: type):
    assert kind in {type(built(case)) for case in BIJECTORS}


@pytest.mark.parametrize("kind", public_classes(flows))
@pytest.mark.parametrize("conditional", [False, True])
def test_every_public_flow_is_a_case_with_and_without_a_condition(kind: type, conditional: bool):
    assert kind in {type(built(case)) for case in FLOWS if (case.condition_shape is not None) == conditional}


@pytest.mark.parametrize(
    ("kind", "structure"),
    [
        (kind, structure)
        for kind in public_classes(transformers)
        for structure in (bijectors.Elementwise, bijectors.Coupling, bijectors.Autoregressive)
        if structure is not bijectors.Autoregressive or kind not in SLOW
    ],
)
def test_every_public_transformer_is_in_a_case_of_each_structure(kind: type, structure: type):
    assert kind in {type(layer.transformer) for layer in layers(structure)}


@pytest.mark.parametrize("kind", public_classes(conditioners))
def test_every_public_conditioner_is_in_a_case(kind: type):
    assert kind in {type(layer.conditioner) for layer in layers(bijectors.Bijector) if hasattr(layer, "conditioner")}


def test_names_of_cases_are_unique():
    names = [case.name for case in BIJECTORS + FLOWS]
    assert sorted(names) == sorted(set(names))
