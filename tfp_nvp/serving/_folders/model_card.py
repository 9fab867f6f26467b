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
CARD = f"{EXTRA}/model.json"
#: `meta_graph_version` of a graph that has a card: without the card its folder is not whole.
MARK = "tfp_nvp 1"


def read_card(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Reads `model.json` of a version's folder; None if there is none.

    Raises:
      ValueError: if it is not a JSON object.
    """
    file = Path(folder) / CARD
    if not file.exists():
        return None
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} must be a JSON object: {error}") from error
    if not isinstance(card, dict):
        raise ValueError(f"{file} must be a JSON object; it holds {type(card).__name__}.")
    return card


def check_hashes(folder: Path) -> None:
    """Raises `ValueError` if a file of a version's folder has changed since `export`, or is missing.

    A graph says whether its folder had a card; those of early releases and of `tf.saved_model.save` had none.
    """
    card = read_card(folder)
    if card is None:
        if _is_marked(folder / "saved_model.pb"):
            raise ValueError(f"{CARD} is missing")
        return
    for file, expected in card["sha256"].items():
        path = folder / file
        if not path.exists():
            raise ValueError(f"{file} is missing")
        if _sha256(path) != expected:
            raise ValueError(f"{file} is not what was exported: its SHA-256 is another than in model.json")
    if card.get("digest") != card_digest(card) and ("digest" in card or _is_marked(folder / "saved_model.pb")):
        raise ValueError(f"{CARD} is not what was exported: its digest is another")


def card_digest(card: dict[str, Any]) -> str:
    """SHA-256 of a card's values, its digest left out: of their JSON with sorted keys."""
    values = {key: value for key, value in card.items() if key != "digest"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _is_marked(file: Path) -> bool:
    if not file.exists():
        return False
    graphs = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    return any(graph.meta_info_def.meta_graph_version == MARK for graph in graphs)


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
    """SHA-256 of the files of a version's folder, but for its card, by path."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / CARD]
    return {str(path.relative_to(folder)): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
