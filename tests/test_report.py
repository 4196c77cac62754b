"""Tables: the numbers they show, with Rich and without it."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastinit as fi
from fastinit.showing.tables import SHORT, Table, choose, layer_table, summary_table


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


@pytest.mark.parametrize(
    "encoding", ["ascii", "utf-8", *(pytest.param(name, marks=pytest.mark.ci) for name in ("latin-1", "cp437"))]
)
def test_tables_and_results_print_in_any_encoding(encoding):
    code = """
import numba
import fastinit as fi
from fastinit.showing.tables import Table, summary_table

@numba.njit
def höchstens(z):
    return min(z, 1.0)

result = fi.probe(activation=höchstens, depth=2, width=6, batch=4)
print(result, [result], result.table(), summary_table([("N(0, 0.01²)", result)]))
print(Table("·", ("→", "n"), (("±", "1"), ("×…", "100")), note="←", left=frozenset({"→"})))
print(fi.recommend(depth=2, width=6, batch=4), fi.sweep(depth=1, width=6, batch=4), fi.get_scheme("he_normal"))
"""
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", code],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert ("höchstens" in text) != (encoding == "ascii")
    assert ("h\\xf6chstens" in text) == (encoding == "ascii")
    head = {"utf-8": "→     n\n", "ascii": "->      n\n"}.get(encoding, "->  ")
    assert head in text
    assert ("±" in text) == (encoding != "ascii")


@pytest.mark.parametrize(
    "words", [["schemes"], ["probe", "--depth", "2", "--width", "8"], ["--help"], ["probe", "--help"]]
)
@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
def test_the_command_line_prints_in_ascii(words, locale):
    code = "from fastinit.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, env={**os.environ, **locale})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert "\\x" not in done.stdout.decode()
    assert words != ["schemes"] or b"N(mean, std^2)" in done.stdout


def test_the_command_line_prints_what_no_encoding_has(tmp_path):
    code = "import sys; from fastinit.cli import main; main(sys.argv[1:])"
    name = tmp_path / "a\udcff.json"  # a byte that is no UTF-8
    words = ["probe", "--depth", "2", "--width", "8", "--save", str(name)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True)
    assert (done.returncode, done.stderr[-13:]) == (0, b"a\\udcff.json\n")
    assert name.exists()
