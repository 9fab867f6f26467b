"""The exported graphs: nothing a CPU or GPU server can't run, nothing tied to a device, nothing to spare."""

import functools
import subprocess
import sys

import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import kernels, op_def_registry

# The Keras layer StringLookup puts a table of strings on the CPU, the only place for it.
CPU_ONLY = {"encoder_of_two": {"LookupTableFindV2", "HashTableV2", "LookupTableImportV2", "Const"}}

pytestmark = pytest.mark.skipif(
    all(kernel.device_type != "GPU" for kernel in kernels.get_registered_kernels_for_op("MatMul").kernel),
    reason="this build of TensorFlow has no GPU kernels to ask for",
)


def reachable_nodes(folder):
    """The nodes behind the signatures, through the function library: not those that load and save variables."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (meta,) = saved.meta_graphs
    library = {function.signature.name: function for function in meta.graph_def.library.function}
    nodes = {node.name: node for node in meta.graph_def.node}
    outputs = [out.name for each in meta.signature_def.values() for out in each.outputs.values()]
    waiting, seen, found = [name.split(":")[0] for name in outputs], set(), []
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            found.append(nodes[name])
            waiting += [source.lstrip("^").split(":")[0] for source in nodes[name].input]
    for node in found:  # grows as functions are found
        for attribute in node.attr.values():
            for function in [attribute.func, *attribute.list.func]:
                if function.name in library and function.name not in seen:
                    seen.add(function.name)
                    found.extend(library[function.name].node_def)
    return found


def has_kernel(node, device):
    """Whether the registry of the installed TensorFlow has a kernel for the node's types on a device."""
    for kernel in registered_kernels(node.op):
        if kernel.device_type in (device, "DEFAULT") and all(
            types(node, constraint.name) <= set(constraint.allowed_values.list.type)
            for constraint in kernel.constraint
            if constraint.allowed_values.list.type
        ):
            return True
    return False


@functools.cache
def registered_kernels(op):
    return list(kernels.get_registered_kernels_for_op(op).kernel)


def types(node, name):
    """The types an attribute of a node holds; a SavedModel leaves those out that are the default."""
    defaults = {each.name: each.default_value for each in op_def_registry.get(node.op).attr}
    value = node.attr[name] if name in node.attr else defaults[name]
    return set(value.list.type) or {value.type}


def test_every_operation_has_cpu_and_gpu_kernels(recipe_export):
    case, nodes = recipe_export, reachable_nodes(recipe_export.folder)
    assert len(nodes) > 10
    distinct = {(node.op, *map(str, sorted(node.attr.items(), key=str))): node for node in nodes}.values()
    missing = {(node.op, device) for node in distinct for device in ("CPU", "GPU") if not has_kernel(node, device)}
    assert missing <= {(op, "GPU") for op in CPU_ONLY.get(case.name, ())}


def test_the_check_of_kernels_sees_a_missing_one():
    node = tf.compat.v1.NodeDef(op="Add")
    node.attr["T"].type = types_pb2.DT_STRING
    assert has_kernel(node, "CPU")
    assert not has_kernel(node, "GPU")


@pytest.fixture(scope="session")
def core_operations():
    """What TensorFlow's own library registers, in a process that has loaded nothing else."""
    program = (
        "from tensorflow.core.framework import op_def_pb2\n"
        "from tensorflow.python.client import pywrap_tf_session as tf\n"
        "operations = op_def_pb2.OpList.FromString(tf.TF_GetBuffer(tf.TF_GetAllOpList()))\n"
        "print(*(each.name for each in operations.op))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


def test_every_operation_is_one_of_the_core(recipe_export, core_operations):
    nodes = reachable_nodes(recipe_export.folder)
    operations = {node.op for node in nodes}
    functions = {node.op for node in nodes if node.op.startswith("__inference_")}  # of the graph's own library
    assert operations - functions <= core_operations
    assert {"MatMul", "StatefulPartitionedCall"} <= core_operations
    assert "ZeroOut" not in core_operations  # TensorFlow's example of a custom one


def test_nothing_is_tied_to_a_device_or_kept_for_training(recipe_export):
    case = recipe_export
    saved = saved_model_pb2.SavedModel.FromString((case.folder / "saved_model.pb").read_bytes())
    (meta,) = saved.meta_graphs
    assert not meta.graph_def.library.gradient
    for node in reachable_nodes(case.folder):
        assert not node.device or case.name in CPU_ONLY
        # One check, which is of numbers.
        assert node.op != "Assert" or node.name.startswith("inputs_must_have_equally_many_rows")
        assert not node.op.startswith(("Print", "Random", "Multinomial", "PyFunc", "EagerPyFunc"))
        assert not node.attr["_XlaMustCompile"].b
