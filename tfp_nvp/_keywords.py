"""Answers to arguments that a function does not take: the one that was probably meant."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

#: Argument of a transformer -> the transformer; of several, the one whose it is most often.
OF_TRANSFORMERS = {
    "num_bins": "RationalQuadratic",
    "min_width": "RationalQuadratic",
    "min_height": "RationalQuadratic",
    "min_slope": "RationalQuadratic",
    "num_components": "MixtureOfLogistics",
    "bound": "RationalQuadratic",
}
#: Arguments of recipes, which `fit` takes in a recipe.
OF_RECIPES = (
    "num_layers",
    "hidden_units",
    "num_blocks",
    "activation",
    "dropout",
    "transformer",
    "base",
    "order",
    "mask_type",
)
#: Argument -> what other packages and papers call it.
_SYNONYMS = {
    "condition_shape": "context context_shape context_dim context_features cond cond_dim cond_shape condition_dim "
    "conditional conditioning num_conditions",
    "condition": "context cond conditions conditional conditioning c y targets features",
    "event_shape": "features dim dims d n_dims ndim event_size event_dim input_shape input_dim data_dim shape size",
    "num_layers": "layers n_layers transforms num_transforms n_transforms num_flows n_flows flows num_couplings depth",
    "hidden_units": "hidden_features hidden_dims hidden_dim hidden hidden_sizes hidden_layers units layer_sizes "
    "nn_width width num_hidden_channels",
    "num_blocks": "blocks n_blocks num_residual_blocks",
    "num_bins": "bins n_bins K num_knots knots nbins count_bins",
    "num_components": "components n_components num_mixtures mixtures",
    "bound": "tail_bound interval range_max",
    "distribution": "base base_dist base_distribution prior",
    "bijector": "transform transforms flow bijection",
    "base": "base_dist base_distribution prior distribution latent",
    "seed": "random_state random_seed rng key",
    "activation": "nonlinearity act activation_fn",
    "order": "reverse_ordering ordering reverse permute",
    "mask_type": "mask masking mask_kind split",
    "epochs": "n_epochs num_epochs max_epochs max_iter steps",
    "learning_rate": "lr rate",
    "batch_size": "batch bs",
    "support": "bounds limits ranges low high domain",
    "validation_split": "val_split validation_fraction val_fraction test_split test_size",
    "flow": "recipe model distribution density",
    "num_samples": "n samples n_samples",
    "path": "folder out filepath filename file",
    "verbose": "verbosity quiet progress",
}
#: Argument of other packages -> the values of ours that mean its values.
_VALUES = {"reverse_ordering": ' order="reversed" is its True, order="same" its False.'}


def answering(function: F) -> F:
    """Decorates a function, so that a call with arguments that it does not take says what was probably meant."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def answered(*args: Any, **kwargs: Any) -> Any:
        refuse_unknown(function.__name__, signature, args, kwargs)
        return function(*args, **kwargs)

    return answered  # type: ignore[return-value]


def refuse_unknown(name: str, signature: inspect.Signature, args: tuple, kwargs: Mapping[str, Any]) -> None:
    """Does nothing if `signature` takes the arguments.

    Raises:
      TypeError: naming the argument that is unknown or missing, and the one that was probably meant.
    """
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(_answer(name, signature, args, kwargs) or f"{name}: {error}.") from None


def _answer(name: str, signature: inspect.Signature, args: tuple, kwargs: Mapping[str, Any]) -> str:
    parameters = {key: value for key, value in signature.parameters.items() if key not in ("self", "parameters")}
    unknown = next((key for key in kwargs if key not in parameters), None)
    if unknown is not None:
        return f"{name} has no argument `{unknown}`. {_meant(unknown, list(parameters))}"
    by_position = [key for key, value in parameters.items() if value.kind is not inspect.Parameter.KEYWORD_ONLY]
    others = [key for key in parameters if key not in by_position]
    given = len(args) - ("self" in signature.parameters)
    if given > len(by_position):
        return (
            f"{name} takes {len(by_position)} argument(s) without a name ({', '.join(by_position)}); got {given}. "
            f"Give the others by name: {', '.join(f'{key}=' for key in others)}."
        )
    empty = inspect.Parameter.empty
    missing = [
        key
        for i, (key, value) in enumerate(parameters.items())
        if value.default is empty and key not in kwargs and not (key in by_position and i < given)
    ]
    return f"{name} needs the argument `{missing[0]}`." if missing else ""


def _meant(unknown: str, known: list[str]) -> str:
    """What was probably meant by an argument."""
    plain = [unknown, *(key for key, others in _SYNONYMS.items() if unknown in others.split())]
    for key in plain:
        if key != unknown and key in known:
            return f"Did you mean `{key}`?{_VALUES.get(unknown, '')}"
        if key in OF_TRANSFORMERS and {"transformer", "flow"} & set(known):
            value = f"transformer={OF_TRANSFORMERS[key]}({key}=…)"
            return f"It is one of the transformer: {_in_a_recipe(value) if 'flow' in known else value}."
        if key in OF_RECIPES and "flow" in known:
            return f"It is one of a recipe: {_in_a_recipe(f'{key}=…')}."
    close = difflib.get_close_matches(unknown, known, n=1, cutoff=0.6)
    return f"Did you mean `{close[0]}`?" if close else f"It takes {', '.join(f'`{key}`' for key in known)}."


def _in_a_recipe(argument: str) -> str:
    return f"flow=functools.partial(tfp_nvp.NeuralSplineFlow, {argument})"
