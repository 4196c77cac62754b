"""Tables: the numbers they show, with Rich and without it."""

import subprocess
import sys

import numpy as np
import pytest

import fastinit as fi
from fastinit.report import SHORT, Table, choose, layer_table, summary_table


@pytest.fixture(scope="module")
def result():
    return fi.probe(scheme="xavier_normal", activation="tanh", depth=5, width=30, batch=40)


def test_a_table_shows_the_results_own_numbers(result):
    lines = str(result.table()).splitlines()
    assert lines[0] == "xavier_normal, tanh, 5 x 30"
    header = lines[1].split()
    assert header[:3] == ["layer", "mean", "std"]
    rows = [line.split() for line in lines[2:7]]
    assert [row[0] for row in rows] == list("01234")
    assert [float(row[2]) for row in rows] == pytest.approx(result.std, rel=5e-3)
    assert lines[7] == f"healthy: {result.reason}"


def test_columns_that_say_nothing_are_left_out(result):
    relu = fi.probe(depth=2, width=8, batch=8, backward=False)
    assert "saturated" in str(result.table())
    assert "saturated" not in str(relu.table())
    assert "grad" not in str(relu.table())
    assert "inf/nan" not in str(result.table())
    assert "inf/nan" in str(fi.probe(weights=[np.full((2, 2), np.inf)], batch=4).table())


def test_units_that_stay_equal_have_a_column():
    assert "after a step" not in str(fi.probe(depth=3, width=8, batch=8).table())
    table = fi.probe(scheme="zeros", activation="tanh", depth=3, width=8, batch=8).table()
    column = table.columns.index("after a step")
    # dW of the last layer is 0, too, for nothing arrives there.
    assert [row[column] for row in table.rows] == ["1", "1", "1"]


def test_a_deep_network_shows_a_choice_of_layers():
    deep = fi.probe(depth=40, width=8, batch=8, backward=False)
    table = deep.table(layers=5)
    assert [row[0] for row in table.rows] == ["0", "10", "20", "29", "39"]
    assert len(deep.table(layers=None).rows) == 40


@pytest.mark.parametrize(("depth", "count"), [(1, 12), (12, 12), (13, 12), (50, 6), (3, 1)])
def test_chosen_layers_have_both_ends(depth, count):
    layers = choose(depth, count)
    assert layers[0] == 0
    assert layers[-1] == depth - 1
    assert len(layers) <= max(count, 2)


def test_columns_are_aligned():
    table = Table("", ("name", "n"), (("a", "1"), ("long", "100")), left=frozenset({"name"}))
    assert str(table) == "name    n\na       1\nlong  100"


def test_short_and_summary_tables(result):
    assert layer_table(result, figures=SHORT).columns == ("layer", "mean", "std", "saturated", "distinct", "grad std")
    (row,) = summary_table([("Xavier", result)]).rows
    assert row[:2] == ("Xavier", "5x30 tanh")
    assert row[2] == f"{result.std[0]:.2g} → {result.std[4]:.2g}"
    assert row[3] == f"{result.gradient_std[0]:.2g} ← {result.gradient_std[4]:.2g}"
    assert row[4] == "healthy"


def test_rich_shows_the_same_cells(result):
    from rich.console import Console

    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(result.table())
    text = console.export_text()
    console.file.close()
    for row in result.table().rows:
        assert all(cell in text for cell in row)
    assert result.reason[:40] in text


def test_tables_print_without_rich():
    code = (
        "import sys; sys.modules['rich'] = None\n"
        "import fastinit as fi\n"
        "print(fi.probe(depth=2, width=8, batch=8).table())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "grad std" in done.stdout


def test_names_of_a_result(result):
    assert repr(result) == "ProbeResult(xavier_normal, tanh, 5 x 30: healthy)"
    assert str(result) == f"xavier_normal, tanh, 5 x 30: healthy ({result.reason})"
    odd = fi.probe(scheme="normal", std=0.01, widths=[3, 4, 5], batch=4)
    assert odd.title == "normal(std=0.01), relu, 3-4-5"


def test_a_missing_package_is_named():
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "import fastinit as fi\n"
        "try: fi.probe(depth=2, width=8, batch=8).to_pandas()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'this needs pandas; install it with: pip install "fastinit-kernels[data]"'
