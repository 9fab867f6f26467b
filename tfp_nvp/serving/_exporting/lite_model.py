"""Writes the signatures of a served model as one LiteRT model."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf


def lite_model(functions: Mapping[str, Any], variables: list[tf.Variable]) -> bytes:
    """Converts concrete functions of named tensors to a model that has a signature of each.

    Args:
      functions: by signature.
      variables: what they read beside the variables of their graphs.

    Raises:
      ValueError: for operations that LiteRT does not have.
    """
    root = tf.Module()
    root.weights = variables + [variable for function in functions.values() for variable in function.graph.variables]
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(root, folder, signatures=dict(functions), options=options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        try:
            return converter.convert()
        except Exception as error:  # of a class of its own, with the graph as text
            missing = sorted(set(re.findall(r"'?(tf\.\w+)'? op is neither a custom op", str(error))))
            reason = f"it has no {', '.join(missing)}" if missing else str(error).strip().splitlines()[0][:300]
            raise ValueError(
                f"`formats` has 'tflite', but LiteRT can't run the model: {reason}. Leave 'tflite' out."
            ) from error


def run_lite(model: bytes, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs a signature of a model in the interpreter, on a CPU."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"[\s\S]*tf\.lite\.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(model_content=model)
    return interpreter.get_signature_runner(signature)(**inputs)
