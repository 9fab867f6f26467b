"""Functions of TensorFlow run as plain Python."""

from collections.abc import Iterator

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True, scope="module")
def eager() -> Iterator[None]:
    """To trace the graphs of a fit takes ten times as long as a step of so small a table; other tests have graphs."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """TensorFlow warns that `tf.data` traces its functions all the same."""
    for item in items:
        if "tests/sklearn" in item.nodeid:
            item.add_marker(pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"))
