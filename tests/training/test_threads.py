"""Models of several dtypes at once: no call changes what other threads see."""

import logging
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp


def job(dtype: str, folder) -> dict:
    """A fit, evaluations and an export of one dtype; their results."""
    x = np.random.default_rng(0).normal(size=(256, 2)) * 0.1 + 100.0  # float32 loses digits
    flow = nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0, dtype=dtype)
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.SGD(1e-3))
    history = model.fit(x, epochs=2, batch_size=128, shuffle=False, verbose=0).history["nll"]
    values = [model.evaluate(x, verbose=0, return_dict=True)["nll"] for _ in range(3)]
    log_prob = model.predict(x, verbose=0)
    version = nvp.export(flow, folder, weights_dtype="bfloat16" if dtype == "float32" else None, verify=False)
    served = nvp.serving.load(version).log_prob(x)
    return {"history": history, "values": values, "log_prob": log_prob, "served": served}


def shared_state() -> dict:
    variable = type(tf.Variable(0.0))
    return {
        "floatx": keras.config.floatx(),
        "policy": keras.mixed_precision.global_policy().name,
        "reads": [vars(kind).get("_read_variable_op") for kind in variable.__mro__],
        "level": logging.getLogger("tensorflow").level,  # TensorFlow itself changes that of absl while it saves
        "environment": dict(os.environ),
        "random": random.getstate(),
    }


@pytest.mark.exhaustive
def test_fits_evaluations_and_exports_of_several_dtypes_in_threads(tmp_path):
    dtypes = ["float64", "float32", "float32", "float64"]
    alone = {dtype: job(dtype, tmp_path / dtype) for dtype in ("float32", "float64")}
    seen, done, before = [], threading.Event(), shared_state()

    def watch():
        while not done.wait(0.005):
            seen.extend(name for name, value in shared_state().items() if value != before[name])

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(job, dtype, tmp_path / f"{i}") for i, dtype in enumerate(dtypes)]
        results = [each.result() for each in jobs]
    done.set()
    watcher.join()
    assert not set(seen)
    for dtype, result in zip(dtypes, results, strict=True):
        assert result["log_prob"].dtype == dtype
        tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-9}
        for name, right in alone[dtype].items():
            np.testing.assert_allclose(result[name], right, **tolerance, err_msg=f"{dtype} {name}")
