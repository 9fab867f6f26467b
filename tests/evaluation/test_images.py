"""Sheets of images, and the callback that writes them."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tfp_nvp.evaluation import SampleImages, plot_images, sheet


def test_a_sheet_puts_images_row_by_row():
    images = np.arange(3)[:, None, None, None] * np.ones([3, 2, 2, 1])
    picture = sheet(images, levels=3, columns=2)[..., 0]
    right = np.array([[0, 0, 255, 128, 128], [0, 0, 255, 128, 128], [255] * 5, [255] * 5, [255] * 5])
    np.testing.assert_array_equal(picture, right)


def test_numbers_beyond_the_range_are_drawn_as_its_ends():
    picture = sheet(np.array([-1.0, 0.5, 7.0]).reshape(3, 1, 1, 1), columns=3, gap=0)
    np.testing.assert_array_equal(picture[0, :, 0], [0, 128, 255])


def test_shapes_that_are_no_images():
    with pytest.raises(ValueError, match=r"`images` must have shape .*got \[2, 3, 3\]"):
        sheet(np.zeros([2, 3, 3]))
    with pytest.raises(ValueError, match="`rows` must hold images of one number and shape"):
        plot_images({"a": np.zeros([2, 3, 3, 1]), "b": np.zeros([3, 3, 3, 1])})


def test_rows_have_their_names(tmp_path):
    figure = plot_images({"a": np.zeros([2, 3, 3, 1]), "b": np.ones([2, 3, 3, 1])}, tmp_path / "x.png", title="t")
    assert [axes.get_ylabel() for axes in figure.axes] == ["a", "b"]
    assert (tmp_path / "x.png").stat().st_size > 1000


@pytest.mark.parametrize("conditional", [False, True])
def test_the_callback_writes_sheets_and_a_log(conditional, tmp_path):
    shape = [2] if conditional else None
    glow = nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=4, condition_shape=shape, seed=0)
    model = nvp.FlowModel(nvp.Dequantized(glow, levels=4))
    model.compile()
    rng = np.random.default_rng(0)
    x, condition = rng.integers(0, 4, size=(8, 4, 4, 1)), rng.normal(size=(8, 2)).astype(np.float32)
    callback = SampleImages(
        tmp_path / "sheets",
        log_dir=tmp_path / "logs",
        count=4,
        every=2,
        condition=condition[:4] if conditional else None,
    )
    data = (condition, x) if conditional else (x,)
    model.fit(*data, epochs=4, verbose=0, callbacks=[callback])
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["epoch_0002.png", "epoch_0004.png"]
    png = tf.io.decode_png(tf.io.read_file(str(tmp_path / "sheets" / "epoch_0004.png")))
    assert png.shape == [9, 9, 1]
    assert any(path.stat().st_size > 100 for path in (tmp_path / "logs").iterdir())


def test_the_callback_says_what_it_needs():
    with pytest.raises(ValueError, match="Give `folder`, for pictures, or `log_dir`"):
        SampleImages()
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=2, hidden_units=[4], seed=0))
    model.compile()
    with pytest.raises(ValueError, match=r"draws images .*events are \[2\]"):
        model.fit(np.random.default_rng(0).normal(size=(8, 2)), verbose=0, callbacks=[SampleImages("unused")])


def test_a_conditional_model_needs_its_condition_before_the_first_epoch(tmp_path):
    glow = nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=4, condition_shape=[2], seed=0)
    model = nvp.FlowModel(nvp.Dequantized(glow, levels=4))
    model.compile()
    x = np.random.default_rng(0).integers(0, 4, size=(8, 4, 4, 1))
    with pytest.raises(ValueError, match=r"give SampleImages\(condition="):
        model.fit(np.zeros([8, 2], np.float32), x, verbose=0, callbacks=[SampleImages(tmp_path)])
    with pytest.raises(ValueError, match=r"a row for each image, \[n, \*\[2\]\]; got shape \[2\]"):
        model.fit(np.zeros([8, 2], np.float32), x, verbose=0, callbacks=[SampleImages(tmp_path, condition=[1, 0])])
