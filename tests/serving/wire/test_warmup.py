"""The requests in an export warm a server up, and a version whose requests fail is not served."""

import os
import shutil

import grpc
import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import affine
from tests.serving.rounding import IN_ANOTHER_BATCH
from tfp_nvp.serving import ServedFlow, export
from tfp_nvp.serving._exporting.warmup import write_warmup

clients = pytest.importorskip("tests.serving.wire.clients")

MODEL = "refused"


def request(name, **inputs):
    return {name: inputs}


BAD = {
    "no TFRecord": b"not a record",
    "no PredictionLog": None,
    "another shape": request("log_prob", x=np.zeros([1, 7], np.float32)),
    "another type": request("log_prob", x=np.zeros([1, 3], np.float64)),
    "another name": request("log_prob", y=np.zeros([1, 3], np.float32)),
    "another signature": request("score", x=np.zeros([1, 3], np.float32)),
}


def spoil(folder, what):
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    if what is None:
        with tf.io.TFRecordWriter(str(file)) as writer:
            writer.write(b"not a log")  # text, as the server puts it into the status, which clients must read
    elif isinstance(what, bytes):
        file.write_bytes(what * 10)
    else:
        write_warmup(folder, MODEL, what)


def publish_copy(source, folder, version, what):
    """A copy with other requests, renamed into place."""
    hidden = shutil.copytree(source, folder / ".copy")
    spoil(hidden, what)
    os.rename(hidden, folder / str(version))


def test_a_version_that_does_not_warm_up_is_refused(changing, grpc_client, rng):
    folder = changing[MODEL]
    x = rng.normal(size=[4, 3]).astype(np.float32)
    expected = ServedFlow(folder / "1").log_prob(x)
    for version, what in enumerate(BAD.values(), start=2):
        publish_copy(folder / "1", folder, version, what)
        assert grpc_client.wait_for(MODEL, version, "END") != grpc.StatusCode.OK.value[0]
        answer = grpc_client.predict(MODEL, "log_prob", {"x": x})
        assert answer.version == 1
        # The same graph in another process: tens of roundings.
        np.testing.assert_allclose(answer.outputs["log_prob"], expected, **IN_ANOTHER_BATCH)
        with pytest.raises(grpc.RpcError) as caught:
            grpc_client.predict(MODEL, "log_prob", {"x": x}, version=version)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    good = export(affine(), folder, verify=False)  # with a file of its own
    assert (good / "assets.extra" / "tf_serving_warmup_requests").exists()
    grpc_client.wait_for(MODEL, int(good.name), "AVAILABLE")
    assert grpc_client.predict(MODEL, "log_prob", {"x": x}).version == int(good.name)
    assert grpc_client.wait_for(MODEL, 1, "END") == 0
