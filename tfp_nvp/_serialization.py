"""Bijectors, distributions and transformers as JSON for `.keras` files; reading one runs no code of the file.

A class is written by its name within `tfp.distributions`, `tfp.bijectors` or this package, or
under the name it was registered with by `keras.saving.register_keras_serializable`; its
state is its constructor's arguments. An object that occurs twice is written once.

A file may name what `_nameable` lists and what the process that reads it has registered, and have built what `_limits`
allows.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp._captured import Captured, construct
from tfp_nvp._limits import bounded, check_config, limits_of_the_file
from tfp_nvp._nameable import BIJECTORS, DISTRIBUTIONS, TRUST, check_keras_names, safe_mode_is_off
from tfp_nvp._names import NAMES

#: Namespaces of the class names in a file: our packages, and TFP's.
_KERAS_OBJECTS = (keras.layers.Layer, keras.initializers.Initializer, keras.regularizers.Regularizer)
_PACKAGES = ("bijectors", "distributions", "flows", "solvers", "transformers")
_STOCK: dict[str, Any] = {"tfb": tfp.bijectors, "tfd": tfp.distributions}
_NAMEABLE = {"tfb": BIJECTORS, "tfd": DISTRIBUTIONS}

#: Bases of the classes that are written by their arguments.
_WRITTEN = (tfp.bijectors.Bijector, tfp.distributions.Distribution, Captured)
_HELD = (*_WRITTEN, tf.Variable, tf.DType)
#: The values that `_Writer` writes and `_Reader` reads.
_KINDS = (
    "list",
    "tuple",
    "dict",
    "dtype",
    "shape",
    "array",
    "tensor",
    "reference",
    "variable",
    "transformed_variable",
    "keras",
    "registered",
    "object",
)


def serialize(value: Any) -> Any:
    """`value` as JSON.

    Raises:
      ValueError: for a value that can't be written; the message says what to do.
    """
    return _Writer().write(value)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The value that `serialize` wrote.

    Raises:
      ValueError: for a class that is not known or that a file may not name, or more than `Limits` allow.
    """
    with checked(config, custom_objects):
        return _Reader(custom_objects or {}).read(config)


@contextlib.contextmanager
def checked(config: Any, custom_objects: dict[str, Any] | None = None) -> Iterator[None]:
    """Checks the names and sizes in a config, and bounds the weights that are made within; unless safe mode is off.

    Raises:
      ValueError: naming what is refused; and for every error that a broken config leads to.
    """
    if safe_mode_is_off():
        yield
        return
    limits = limits_of_the_file()
    check_config(config, limits)
    check_keras_names(config, custom_objects)
    try:
        with bounded(limits):
            yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, tf.errors.OpError) as error:
        raise ValueError(f"The config makes no object: {type(error).__name__}: {error}") from error


def to_parts(value: Any) -> Any:
    """Like `serialize`, but classes, functions and arrays stay Python objects: for pickles and deep copies."""
    return _PartsWriter().write(value)


def from_parts(parts: Any) -> Any:
    """A new object from the result of `to_parts`."""
    return _PartsReader({}).read(parts)


class _Writer:
    """Writes values; remembers objects by identity, so that a second mention is a reference."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._alive: list[Any] = []  # keeps ids from being used again

    def write(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)):
            sequence_type = "tuple" if isinstance(value, tuple) else "list"
            return {"kind": sequence_type, "items": [self.write(item) for item in value]}
        if isinstance(value, dict):
            return {"kind": "dict", "items": [[self.write(k), self.write(v)] for k, v in value.items()]}
        if isinstance(value, (tf.DType, np.dtype)) or (isinstance(value, type) and issubclass(value, np.generic)):
            return {"kind": "dtype", "name": tf.as_dtype(value).name}
        if isinstance(value, tf.TensorShape):
            return {"kind": "shape", "sizes": value.as_list()}
        if isinstance(value, (np.ndarray, np.generic, tf.Tensor)):
            return _array(value, is_tensor=tf.is_tensor(value))
        if id(value) in self._known:
            return {"kind": "reference", "number": self._known[id(value)]}
        self._known[id(value)] = number = len(self._known)
        self._alive.append(value)
        return self._object(value) | {"number": number}

    def _object(self, value: Any) -> dict[str, Any]:
        if isinstance(value, tf.Variable):
            array = _array(value, is_tensor=True)
            return {"kind": "variable", "value": array, "trainable": value.trainable, "name": value.name.split(":")[0]}
        if isinstance(value, tfp.util.TransformedVariable):
            initial = _array(tf.convert_to_tensor(value), is_tensor=True)
            return {"kind": "transformed_variable", "value": initial, "bijector": self.write(value.bijector)}
        is_tfp = isinstance(value, (tfp.bijectors.Bijector, tfp.distributions.Distribution))
        if is_tfp or (isinstance(value, Captured) and not isinstance(value, keras.layers.Layer)):
            return {"kind": "object", "class": self._class(type(value)), "arguments": self._arguments(value)}
        if isinstance(value, _KERAS_OBJECTS):
            return {"kind": "keras", "config": keras.saving.serialize_keras_object(value)}
        if callable(value) and keras.saving.get_registered_object(keras.saving.get_registered_name(value)) is value:
            return {"kind": "registered", "name": keras.saving.get_registered_name(value)}
        raise ValueError(
            f"{value!r} can't be written to a .keras file. If it is a function or class of your own, decorate it with "
            "keras.saving.register_keras_serializable(); else use save_weights or tf.train.Checkpoint."
        )

    def _class(self, cls: type) -> Any:
        return _class_name(cls)

    def _arguments(self, value: Any) -> dict[str, Any]:
        """The constructor's arguments that differ from their defaults."""
        parameters = value._captured if isinstance(value, Captured) else value.parameters
        if parameters is None:
            raise ValueError(
                f"{value!r} can't be written to a .keras file: it has no `parameters`. "
                "Pass `parameters=dict(locals())` to super().__init__ on the first line of its constructor."
            )
        signature = inspect.signature(type(value).__init__).parameters
        defaults = {name: parameter.default for name, parameter in signature.items()}
        takes_all = isinstance(value, Captured)  # TFP's `parameters` hold other things too
        return {
            name: self.write(argument)
            for name, argument in parameters.items()
            if (takes_all or name in defaults) and argument is not defaults.get(name, inspect.Parameter.empty)
        }


class _PartsWriter(_Writer):
    """Keeps values that JSON can't hold as Python objects."""

    def write(self, value: Any) -> Any:
        is_array = isinstance(value, (np.ndarray, np.generic, tf.Tensor))
        return {"kind": "python", "value": value} if is_array else super().write(value)

    def _object(self, value: Any) -> dict[str, Any]:
        if isinstance(value, keras.layers.Layer) and not isinstance(value, Captured):
            return {"kind": "layer", "class": type(value), "config": value.get_config()}
        if isinstance(value, (tf.Variable, tfp.util.TransformedVariable)):
            return super()._object(value)
        if isinstance(value, Captured) or getattr(value, "parameters", None) is not None:
            return {"kind": "object", "class": type(value), "arguments": self._arguments(value)}
        return {"kind": "python", "value": value}


class _Reader:
    """Reads values; a reference gives the object that was read before."""

    kinds: tuple[str, ...] = _KINDS

    def __init__(self, custom_objects: dict[str, Any]) -> None:
        self._custom = custom_objects
        self._known: dict[int, Any] = {}

    def read(self, config: Any) -> Any:
        if not isinstance(config, dict):
            return config
        kind = config.get("kind")
        if kind not in self.kinds:
            raise ValueError(f"The file holds a {kind!r}, which is nothing that `serialize` writes.")
        value = getattr(self, f"_{kind}")(config)
        if "number" in config:
            self._known[config["number"]] = value
        return value

    def _list(self, config: dict) -> list:
        return [self.read(item) for item in config["items"]]

    def _tuple(self, config: dict) -> tuple:
        return tuple(self._list(config))

    def _dict(self, config: dict) -> dict:
        return {self.read(key): self.read(value) for key, value in config["items"]}

    def _dtype(self, config: dict) -> tf.DType:
        return tf.as_dtype(config["name"])

    def _shape(self, config: dict) -> tf.TensorShape:
        return tf.TensorShape(config["sizes"])

    def _array(self, config: dict) -> np.ndarray:
        dtype = tf.as_dtype(config["dtype"])
        if not (dtype.is_floating or dtype.is_integer or dtype.is_bool or dtype.is_complex):
            raise ValueError(f"The file holds an array of {dtype.name}, which are no numbers.")
        return np.asarray(config["values"], dtype=dtype.as_numpy_dtype).reshape(config["shape"])

    def _tensor(self, config: dict) -> tf.Tensor:
        return tf.constant(self._array(config))

    def _reference(self, config: dict) -> Any:
        return self._known[config["number"]]

    def _variable(self, config: dict) -> tf.Variable:
        return tf.Variable(self.read(config["value"]), trainable=config["trainable"], name=config["name"])

    def _transformed_variable(self, config: dict) -> tfp.util.TransformedVariable:
        return tfp.util.TransformedVariable(self.read(config["value"]), self.read(config["bijector"]))

    def _keras(self, config: dict) -> Any:
        value = keras.saving.deserialize_keras_object(config["config"], custom_objects=self._custom, safe_mode=True)
        if not isinstance(value, _KERAS_OBJECTS):
            raise ValueError(f"The file holds {value!r} where a layer, an initializer or a regularizer belongs.")
        return value

    def _registered(self, config: dict) -> Any:
        registered = keras.saving.get_registered_object(config["name"], custom_objects=self._custom)
        if registered is None:
            raise ValueError(
                f"The file needs `{config['name']}`, which is not registered. Import the module that registers it with "
                "keras.saving.register_keras_serializable() first."
            )
        return registered

    def _object(self, config: dict) -> Any:
        namespace, _, name = config["class"].partition(".")
        cls = self._registered({"name": name}) if namespace == "registered" else _class_named(namespace, name)
        if not isinstance(cls, type) or not issubclass(cls, _WRITTEN):
            raise ValueError(f"The file needs the class `{config['class']}`, which does not exist here.")
        is_stock, is_unsafe = namespace in _STOCK, safe_mode_is_off()
        if is_stock and name not in _NAMEABLE[namespace] and not is_unsafe:
            raise ValueError(f"The file names `{config['class']}`, which may call what it is given. {TRUST}")
        arguments = {key: self.read(value) for key, value in config["arguments"].items()}
        functions = [value for value in tf.nest.flatten(arguments) if callable(value) and not isinstance(value, _HELD)]
        if is_stock and functions and not is_unsafe:
            raise ValueError(f"The file gives `{config['class']}` a function, {functions[0]!r}. {TRUST}")
        return construct(cls, arguments)


class _PartsReader(_Reader):
    """Reads the output of `_PartsWriter`, never a file."""

    kinds = (*_KINDS, "python", "layer")

    def _python(self, config: dict) -> Any:
        return config["value"]

    def _layer(self, config: dict) -> keras.layers.Layer:
        return config["class"].from_config(config["config"])

    def _object(self, config: dict) -> Any:
        return construct(config["class"], {key: self.read(value) for key, value in config["arguments"].items()})


def _array(value: Any, is_tensor: bool) -> dict[str, Any]:
    array = np.asarray(value)
    return {
        "kind": "tensor" if is_tensor else "array",
        "values": array.ravel().tolist(),
        "shape": list(array.shape),
        "dtype": tf.as_dtype(array.dtype).name,
    }


def _class_named(namespace: str, name: str) -> Any:
    """The public class of this package or TFP's, or None."""
    if namespace in _STOCK:
        return getattr(_STOCK[namespace], name, None)
    module = NAMES.get(f"tfp_nvp.{namespace}", {}).get(name) if namespace in _PACKAGES else None
    return None if module is None else getattr(importlib.import_module(module), name)


def _class_name(cls: type) -> str:
    """The name of a class in a file: "tfd.Normal", "flows.RealNVP" or "registered.package>Name"."""
    name = cls.__name__.lstrip("_")  # TFP makes a Chain of non-composite parts a `_Chain`
    for namespace in (*_PACKAGES, *_STOCK):
        public = _class_named(namespace, name)
        if public is cls or (isinstance(public, type) and cls in public.__bases__):
            return f"{namespace}.{name}"
    registered = keras.saving.get_registered_name(cls)
    if keras.saving.get_registered_object(registered) is cls:
        return f"registered.{registered}"
    raise ValueError(
        f"{cls.__name__} can't be written to a .keras file: decorate the class with "
        "keras.saving.register_keras_serializable(), or use save_weights or tf.train.Checkpoint."
    )
