"""The one owner of weights: a Keras layer that is a `tf.Module` too."""

from __future__ import annotations

import copy
import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp._captured import Captured, construct
from tfp_nvp._serialization import checked, deserialize, from_parts, serialize, to_parts

tfb, tfd = tfp.bijectors, tfp.distributions


class Module(Captured, keras.layers.Layer):
    """The base of bijectors and distributions; each derives from TFP's `Bijector` or `Distribution` too.

    Keras owns the weights. A `tf.Variable` that is set as an attribute, alone, in lists or dicts, or within a stock
    `tf.Module`, is wrapped in a `keras.Variable` of the same storage, one for each `tf.Variable`; Keras layers are
    tracked as they are. So a Keras model that holds the object trains, counts, freezes and saves its weights.

    `tf.Module` walks the attributes and finds a sequence that reads the weights from Keras at every access, so both
    always see the same weights. `variables` and `weights` are Keras' lists of `keras.Variable`s; `trainable_variables`
    are the `tf.Variable`s behind them, which TFP's optimizers need.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        for wrapped in ("build", "quantize"):  # Keras' wrappers; neither method is used here
            vars(self).pop(wrapped, None)
        object.__setattr__(self, "_stock_modules", [])
        _watch_tracker(self)
        return self

    def __init__(self, name: str | None, dtype: tf.DType | None):
        policy = dtype.name if dtype is not None and dtype.is_floating else "float32"
        name = (name or type(self).__name__).replace("/", "_")
        keras.layers.Layer.__init__(self, dtype=policy, autocast=False, name=name)
        object.__setattr__(self, "_seen_by_tensorflow", Window(self))
        self.built = True

    @property
    def name(self) -> str:
        """The name of the object, of its operations and of its rows in a summary."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    @property
    def dtype(self) -> Any:
        """The dtype of values, or None for any."""
        return self._dtype

    @property
    def variables(self) -> list[keras.Variable]:
        """Keras' list of all weights; stock modules may make theirs when they are first called."""
        for module in self._stock_modules:
            self._own(module)
        return super().variables

    @property
    def weights(self) -> list[keras.Variable]:
        """Keras' list of all weights, without the states of random generators."""
        for module in self._stock_modules:
            self._own(module)
        return super().weights

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """The `tf.Variable`s of the weights that are not frozen, for gradient tapes and TFP's optimizers."""
        return tuple(variable.value for variable in self.variables if variable.trainable)

    @property
    def non_trainable_variables(self) -> tuple[tf.Variable, ...]:
        """The `tf.Variable`s of frozen weights and of weights that are never trained."""
        return tuple(variable.value for variable in self.variables if not variable.trainable)

    def __setattr__(self, name: str, value: Any) -> None:
        replaced = vars(self).get(name)
        super().__setattr__(name, value)
        if replaced is not None and replaced is not value:
            self._disown(replaced)

    def __delattr__(self, name: str) -> None:
        deleted = vars(self).get(name)
        super().__delattr__(name)
        self._disown(deleted)

    def _own(self, value: tf.Variable | tf.Module) -> None:
        """Has Keras track a variable, or the variables and Keras layers within a stock module."""
        held = list(_held_by(value))
        layers = [item for item in held if isinstance(item, keras.layers.Layer)]
        if layers and not hasattr(self, "_layers_within"):
            self._layers_within: list[keras.layers.Layer] = []  # Keras tracks and saves what its lists hold
        for layer in layers:
            if all(layer is not known for known in self._layers_within):
                self._layers_within.append(layer)
        owned = {id(variable.value) for layer in layers for variable in layer.variables}
        for variable in held:
            if isinstance(variable, tf.Variable) and id(variable) not in owned:
                with keras.name_scope(type(self).__name__):
                    shared = keras_variable(variable)
                tracked = (*self._trainable_variables, *self._non_trainable_variables)
                if all(shared is not known for known in tracked):
                    self._track_variable(shared)

    def _disown(self, value: Any) -> None:
        """Has Keras forget the variables of a value that no attribute holds any more."""
        if isinstance(value, (tf.Variable, tf.Module, dict, list, tuple)):
            self._stock_modules[:] = [module for module in self._stock_modules if module is not value]
            kept = {id(item) for item in _held_by(list(vars(self).values()))}
            for variable in _held_by(value):
                if isinstance(variable, tf.Variable) and id(variable) not in kept:
                    self._untrack_variable(keras_variable(variable))

    # Copies. A shallow copy shares the weights; a deep copy and a pickle have their own.

    def __copy__(self) -> Any:
        clone = object.__new__(type(self))
        clone.__dict__.update(self.__dict__)
        object.__setattr__(clone, "_seen_by_tensorflow", Window(clone))
        return clone

    def __reduce__(self) -> tuple:
        weights = [variable.numpy() for variable in self.variables]
        return _rebuild, (to_parts(self), settings_of(self), weights)

    def copy(self, **overrides: Any) -> Any:
        """A copy with other arguments that shares this object's weights.

        Raises:
          ValueError: if `overrides` would give the copy weights of its own.
        """
        unknown = set(overrides) - set(self._captured) - {"name"}
        if unknown:
            raise ValueError(f"{type(self).__name__} has no argument {sorted(unknown)}.")
        changes = {key: value for key, value in overrides.items() if value is not self._captured.get(key)}
        if set(changes) <= {"name"}:
            duplicate = copy.copy(self)
            if changes:
                duplicate.name = changes["name"]
                object.__setattr__(duplicate, "_captured", self._captured | changes)
            return duplicate
        duplicate = construct(type(self), {**self._captured, **changes})
        shared = {id(v) for owner in (self, *changes.values()) for v in tf_variables(owner)}
        if any(id(variable) not in shared for variable in tf_variables(duplicate)):
            raise ValueError(
                f"A copy of {type(self).__name__} with other {sorted(changes)} can't share its weights. "
                "Make a new one, or copy without these arguments."
            )
        return duplicate

    def __repr__(self) -> str:
        """The structure: this object, and a line for each object that it is composed of."""
        weights = sum(math.prod(variable.shape) for variable in self.trainable_variables)
        lines = [super().__repr__() + (f": {weights:,} trainable weight{'s'[: weights > 1]}" if weights else "")]
        for name, component in self._components():
            lines += textwrap.indent(f"{name}: {component!r}", "  ").splitlines()
        return "\n".join(lines)

    def __str__(self) -> str:
        return repr(self)

    def _components(self) -> Iterator[tuple[str, Any]]:
        """The names and objects that a `repr` shows a line for: arguments that are objects themselves."""
        for name, value in self._captured.items():
            if isinstance(value, tf.Module):
                yield name, value

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    # Keras.

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.partition(".")[0] == "tfp_nvp":  # users register their own
            keras.saving.register_keras_serializable("tfp_nvp")(cls)

    def get_config(self) -> dict[str, Any]:
        return {"object": serialize(self), "settings": settings_of(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        with checked(config):
            module = deserialize(config["object"])
            apply_settings(module, config["settings"])
        return module

    def get_build_config(self) -> None:
        """Returns None: the constructor has made all weights."""

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        weights = {f"weight_{i}": variable for i, variable in enumerate(self._seen_by_tensorflow.weights)}
        if save_type == "checkpoint":
            return weights
        return super()._trackable_children(save_type, **kwargs) | weights


class Window(tf.Module):
    """A `tf.Module` that shows a layer's weights to TensorFlow."""

    def __init__(self, layer: keras.layers.Layer):
        super().__init__(name="window")
        self.weights = _Weights(layer)


class _Weights(Sequence):
    """The `tf.Variable`s of a layer, read from Keras at every access."""

    def __init__(self, layer: keras.layers.Layer):
        self._layer = layer

    def __len__(self) -> int:
        return len(self._layer.variables)

    def __getitem__(self, index: Any) -> Any:
        return [variable.value for variable in self._layer.variables][index]

    def __iter__(self) -> Iterator[tf.Variable]:
        return iter([variable.value for variable in self._layer.variables])


def settings_of(layer: keras.layers.Layer) -> list[dict[str, Any]]:
    """The settings of nested layers that changed after construction (frozen, quantized, LoRA), as JSON values.

    Empty if none changed. `apply_settings` applies them to a new layer of the same constructor.
    """
    settings = [_settings_of_one(sublayer) for sublayer in layer._flatten_layers()]
    return settings if any(settings) else []


def apply_settings(layer: keras.layers.Layer, settings: list[dict[str, Any]]) -> None:
    """Freezes, quantizes and adapts the nested layers of a new layer by `settings_of` another one."""
    for sublayer, changes in zip(layer._flatten_layers(), settings, strict=bool(settings)):
        if "quantization" in changes and sublayer.quantization_mode is None:
            sublayer.quantize(changes["quantization"])
        if "lora_rank" in changes and not sublayer.lora_enabled:
            sublayer.enable_lora(changes["lora_rank"])
        if "trainable" in changes:
            sublayer._trainable = changes["trainable"]  # Keras' setter would set nested layers too
        own = [*sublayer._trainable_variables, *sublayer._non_trainable_variables]
        for variable, trainable in zip(own, changes.get("trainable_variables", ()), strict=False):
            variable.trainable = trainable


def _settings_of_one(layer: keras.layers.Layer) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if not layer.trainable:
        settings["trainable"] = False
    if getattr(layer, "lora_enabled", False):
        settings["lora_rank"] = layer.lora_rank
    if getattr(layer, "quantization_mode", None):
        settings["quantization"] = layer.quantization_mode
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    if settings or any(variable.trainable != variable.value.trainable for variable in own):
        settings["trainable_variables"] = [variable.trainable for variable in own]
    return settings


def _rebuild(parts: Any, settings: list, weights: list) -> Any:
    module = from_parts(parts)
    apply_settings(module, settings)
    if [tuple(variable.shape) for variable in module.variables] != [weight.shape for weight in weights]:
        raise ValueError(
            f"{type(module).__name__} can't be copied: it has weights that its constructor does not make from its "
            "arguments. Make all weights in `__init__`."
        )
    for variable, weight in zip(module.variables, weights, strict=True):
        variable.assign(weight)
    return module


def keras_variable(variable: tf.Variable) -> keras.Variable:
    """The one `keras.Variable` that shares the storage of a `tf.Variable`."""
    if not hasattr(variable, "_keras_variable"):
        variable._keras_variable = keras.Variable(
            variable,
            trainable=variable.trainable,
            dtype=variable.dtype.name,
            autocast=False,
            name=variable.name.split(":")[0].replace("/", "_"),
        )
    return variable._keras_variable


def tf_variables(value: Any) -> list[tf.Variable]:
    """The `tf.Variable`s of a module, Keras layer or variable; none of anything else."""
    variables = getattr(value, "variables", ())
    return [v.value if isinstance(v, keras.Variable) else v for v in variables]


def _watch_tracker(module: Module) -> None:
    """Has Keras' tracker, which sees what attributes, lists and dicts hold, own `tf.Variable`s and stock modules."""
    tracker = module._tracker
    track = tracker.track

    def track_all(value: Any) -> Any:
        if isinstance(value, tf.Variable) or (
            isinstance(value, tf.Module) and not isinstance(value, keras.layers.Layer)
        ):
            module._own(value)
            if isinstance(value, tf.Module):
                module._stock_modules.append(value)
        return track(value)

    tracker.track = track_all


def _held_by(value: Any, seen: set[int] | None = None) -> Iterator[tf.Variable | keras.layers.Layer]:
    """The variables and outermost Keras layers in a value: itself, or within lists, dicts and stock modules."""
    seen = set() if seen is None else seen
    if isinstance(value, (tf.Variable, keras.layers.Layer)):
        yield value
    elif isinstance(value, (tf.Module, dict, list, tuple)) and id(value) not in seen:
        seen.add(id(value))
        items = _attributes(value) if isinstance(value, tf.Module) else value
        for item in list(items.values()) if isinstance(items, dict) else items:
            yield from _held_by(item, seen)


def _attributes(module: tf.Module) -> dict[str, Any]:
    """The attributes that `tf.Module` itself walks."""
    ignored = module._TF_MODULE_IGNORED_PROPERTIES
    return {name: value for name, value in vars(module).items() if name not in ignored}


def floating_dtype(name: str, value: Any) -> tf.DType:
    """`value` as a `tf.DType` of real numbers, or a `TypeError`."""
    try:
        dtype = tf.as_dtype(value)
    except TypeError:
        dtype = None
    if dtype is None or not dtype.is_floating:
        raise TypeError(f'`{name}` must be a floating-point dtype, "float32" or "float64"; got {value!r:.100}.')
    return dtype
