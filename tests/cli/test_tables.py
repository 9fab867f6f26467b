"""Files of every kind, with and without headers, into numbers."""

import numpy as np
import pandas as pd
import pytest

from tfp_nvp.cli.tables import read_table, write_table

VALUES = np.array([[1.0, -2.5], [3e5, 0.125], [-7.0, 1e-6]])


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npy"])
def test_what_is_written_is_read(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    write_table(VALUES, ["a", "b"], path)
    table = read_table(path)
    assert table.columns == (["x1", "x2"] if suffix == ".npy" else ["a", "b"])
    np.testing.assert_array_equal(table.select(table.columns), VALUES)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", ", "])
@pytest.mark.parametrize("header", [True, False])
def test_separators_and_headers_are_found_out(tmp_path, separator, header):
    lines = [separator.join(map(str, row)) for row in VALUES.tolist()]
    names = ["height (cm)", "b"] if header else []
    path = written(tmp_path / "table.csv", "\n".join([separator.join(names)] * header + lines) + "\n")
    table = read_table(path)
    assert table.columns == (names or ["x1", "x2"])
    np.testing.assert_array_equal(table.select(table.columns), VALUES)


def test_a_header_of_numbers_is_a_header_on_request(tmp_path):
    path = written(tmp_path / "table.csv", "2019,2020\n1,2\n3,4\n")
    assert read_table(path).frame.shape == (3, 2)
    assert read_table(path, header=True).columns == ["2019", "2020"]
    assert read_table(written(path, "a,b\n1,2\n"), header=False).frame.shape == (2, 2)


def test_byte_order_marks_blank_lines_and_windows_line_ends(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbfa , b\r\n\r\n1,2\r\n3,4\r\n\r\n")
    table = read_table(path)
    np.testing.assert_array_equal(table.select(["a", "b"]), [[1, 2], [3, 4]])


def test_one_column(tmp_path):
    assert read_table(written(tmp_path / "one.txt", "length\n1\n2\n")).select(["length"]).tolist() == [[1], [2]]
    np.save(tmp_path / "one.npy", np.arange(3))
    assert read_table(tmp_path / "one.npy").select(["x1"]).tolist() == [[0], [1], [2]]


def test_npz_by_key_and_structured_npy_by_name(tmp_path):
    np.savez(tmp_path / "two.npz", train=VALUES, test=VALUES[:1])
    assert len(read_table(tmp_path / "two.npz", key="train").frame) == 3
    np.savez(tmp_path / "one.npz", VALUES)
    assert len(read_table(tmp_path / "one.npz").frame) == 3
    np.save(tmp_path / "named.npy", np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]))
    assert read_table(tmp_path / "named.npy").select(["b", "a"]).tolist() == [[2.5, 1]]


def test_columns_of_other_types_that_hold_numbers(tmp_path):
    frame = pd.DataFrame({"int": pd.array([1, 2], "Int64"), "flag": [True, False], "half": np.float32([0.5, 1.5])})
    frame.to_parquet(tmp_path / "table.parquet")
    assert read_table(tmp_path / "table.parquet").select(["int", "flag", "half"]).tolist() == [[1, 1, 0.5], [2, 0, 1.5]]


def test_text_in_columns_nobody_asks_for_is_fine(tmp_path):
    table = read_table(written(tmp_path / "table.csv", "a,name\n1,x\n2,y\n"))
    assert table.select(["a"]).tolist() == [[1], [2]]
    with pytest.raises(ValueError, match="column 'name', row 1: 'x' is not a number"):
        table.select(["a", "name"])


def test_dates_are_not_numbers(tmp_path):
    pd.DataFrame({"when": pd.to_datetime(["2020-01-01"])}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="column 'when' holds dates or times"):
        read_table(tmp_path / "t.parquet").select(["when"])


def test_missing_and_infinite_values_are_listed(tmp_path):
    table = read_table(written(tmp_path / "table.csv", "a,b,c\n1,2,3\n,2,inf\n1,2,3\nnan,5,4\n"))
    with pytest.raises(ValueError, match=r"'a' \(rows 2, 4\), 'c' \(row 2\)"):
        table.select(["a", "b", "c"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "can't be read as .csv"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n1,2,3\n", "can't be read as .csv"),
        ("a,b\n1,2,3\n4,5,6\n", "can't be read as .csv"),
    ],
)
def test_malformed_text(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_table(written(tmp_path / "table.csv", text))


def test_duplicate_names(tmp_path):
    np.save(tmp_path / "t.npy", np.ones([2, 1]))
    pd.DataFrame([[1, 2]], columns=["a", " a"]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match="two columns have the name 'a'"):
        read_table(tmp_path / "t.csv", header=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.parquet", b"not parquet"), ("t.npy", b"not numpy"), ("t.npz", b"not a zip"), ("t.csv", b"\xff\xfe\x00a")],
)
def test_files_that_are_not_what_they_say(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: can't be read"):
        read_table(tmp_path / name)


def test_arrays_that_are_not_tables(tmp_path):
    np.save(tmp_path / "image.npy", np.ones([2, 3, 4]))
    with pytest.raises(ValueError, match=r"shape \[2, 3, 4\] is not a table"):
        read_table(tmp_path / "image.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="can't be read"):
        read_table(tmp_path / "objects.npy")
