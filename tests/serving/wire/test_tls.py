"""The client through a proxy that wants TLS, a certificate and a token; nothing shows the token."""

import base64
import traceback

import numpy as np
import pytest

from tests.serving.rounding import IN_ANOTHER_BATCH
from tests.serving.wire.conftest import inputs_of
from tfp_nvp import serving

pytest.importorskip("tests.serving.wire.clients")

from tests.serving.wire import tls_proxy

TOKEN = "Bearer s3cret-t0ken"
BASIC = "Basic " + base64.b64encode(b"me:s3cret-t0ken").decode()


def proxy_of(protocol, server, wanted):
    if protocol == "grpc":
        return tls_proxy.grpc_proxy(server.port, wanted)
    return tls_proxy.rest_proxy(server.rest_port, wanted)


@pytest.fixture(params=["grpc", "rest"])
def address(request, server):
    with proxy_of(request.param, server, TOKEN) as found:
        yield found


def shown(error):
    """All that a log would hold of an error: its causes, and their texts."""
    return "".join(traceback.format_exception(error))


def test_a_client_with_token_and_certificate_is_answered(address, models):
    case = models("conditional")
    inputs = inputs_of(case, 5)["log_prob"]
    access = {"headers": {"Authorization": TOKEN}, "ca": tls_proxy.CA, "certificate": tls_proxy.CERTIFICATE}
    with serving.Client(address, "conditional", chunk_rows=2, **access) as client:
        client.wait_until_available()
        found = client.predict("log_prob", inputs)["log_prob"]
        # The same rows in chunks of another size: tens of roundings.
        np.testing.assert_allclose(found, case.served.predict("log_prob", inputs)["log_prob"], **IN_ANOTHER_BATCH)
        with pytest.raises(ValueError, match="no signature 'score'") as raised:
            client.score(inputs["x"])
        assert TOKEN not in repr(client) + repr(vars(client)) + shown(raised.value)


@pytest.mark.parametrize("without", ["token", "another token", "certificate", "ca"])
def test_without_either_it_is_not(without, address):
    access = {"headers": {"Authorization": TOKEN}, "ca": tls_proxy.CA, "certificate": tls_proxy.CERTIFICATE}
    if without.endswith("token"):
        access["headers"] = {"Authorization": "Bearer another-s3cret"} if without == "another token" else {}
    else:
        del access[without]
    with serving.Client(address, "conditional", retries=0, timeout=10.0, **access) as client:
        with pytest.raises(serving.ServingError) as raised:
            client.status()
        assert "s3cret" not in shown(raised.value)
        if without.endswith("token"):
            assert "who are you?" in str(raised.value)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_user_and_password_of_an_address_are_sent_and_not_shown(protocol, server):
    access = {"ca": tls_proxy.CA, "certificate": tls_proxy.CERTIFICATE}
    with proxy_of(protocol, server, BASIC) as address:
        scheme, _, rest = address.partition("://")
        with serving.Client(f"{scheme}://me:s3cret-t0ken@{rest}", "nobody", **access) as client:
            with pytest.raises(serving.NotFound) as raised:
                client.status()
            assert "s3cret" not in shown(raised.value) + repr(client) + client.address
