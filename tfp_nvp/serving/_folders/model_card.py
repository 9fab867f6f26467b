"""Reads a version's card, checks the hashes of its files, and reports their sizes."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

EXTRA = "assets.extra"  # the folder of the card and the warm-up requests


def read_card(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Reads `model.json` of a version's folder; None if there is none.

    Raises:
      ValueError: if it is not a JSON object.
    """
    file = Path(folder) / EXTRA / "model.json"
    if not file.exists():
        return None
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} must be a JSON object: {error}") from error
    if not isinstance(card, dict):
        raise ValueError(f"{file} must be a JSON object; it holds {type(card).__name__}.")
    return card


def check_hashes(folder: Path) -> None:
    """Raises `ValueError` if a file of a version's folder has changed since `export`."""
    card = read_card(folder)
    for file, expected in {} if card is None else card["sha256"].items():
        path = folder / file
        if not path.exists():
            raise ValueError(f"{file} is missing")
        if _sha256(path) != expected:
            raise ValueError(f"{file} is not what was exported: its SHA-256 is another than in model.json")


def size_report(folder: str | os.PathLike) -> dict[str, Any]:
    """Measures a version's folder.

    Returns:
      `total` bytes, bytes of each of the `files`, number of `operations` of each signature (those of called
      functions are counted once), and the ten `largest` weights in bytes.
    """
    root = Path(folder)
    files = {str(path.relative_to(root)): path.stat().st_size for path in sorted(root.rglob("*")) if path.is_file()}
    saved = saved_model_pb2.SavedModel.FromString((root / "saved_model.pb").read_bytes())
    (meta,) = saved.meta_graphs
    reader = tf.train.load_checkpoint(str(root / "variables" / "variables"))
    dtypes, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
    sizes = {
        _weight_name(meta.object_graph_def, key): int(np.prod(shapes[key], dtype=np.int64)) * dtypes[key].size
        for key in shapes
        if key != "_CHECKPOINTABLE_OBJECT_GRAPH"
    }
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:10]
    return {
        "total": sum(files.values()),
        "files": files,
        "operations": {
            name: _count_operations(meta.graph_def, signature)
            for name, signature in meta.signature_def.items()
            if not name.startswith("__")
        },
        "largest": dict(largest),
    }


def _weight_name(objects: Any, key: str) -> str:
    """The variable's name for a checkpoint's key such as "weights/3/.ATTRIBUTES/VARIABLE_VALUE"."""
    parts = key.split("/.ATTRIBUTES")[0].split("/")
    node = objects.nodes[0]
    for name in parts:
        children = {child.local_name: child.node_id for child in node.children}
        if name not in children:
            return key
        node = objects.nodes[children[name]]
    return f"{node.variable.name or key} ({'/'.join(parts)})"


def _count_operations(graph: Any, signature: Any) -> int:
    library = {function.signature.name: function for function in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    waiting = [out.name.split(":")[0] for out in signature.outputs.values()]
    seen: set[str] = set()
    operations = []
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            operations.append(nodes[name])
            waiting += [source.lstrip("^").split(":")[0] for source in nodes[name].input]
    for node in operations:  # grows by the nodes of the functions that are called
        for attribute in node.attr.values():
            for function in (attribute.func.name, *(called.name for called in attribute.list.func)):
                if function in library and function not in seen:
                    seen.add(function)
                    operations.extend(library[function].node_def)
    return len(operations)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that a model server reads, by path."""
    kept = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != EXTRA]
    return {str(path.relative_to(folder)): _sha256(path) for path in kept}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
