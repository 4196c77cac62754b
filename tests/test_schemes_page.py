"""docs/schemes.md: a row for every scheme, with the registry's formula, and parameters and examples that exist."""

import re
from pathlib import Path

import pytest

import fastinit as fi
from fastinit.weights.schemes import scheme_words

PAGE = (Path(__file__).parent.parent / "docs" / "schemes.md").read_text(encoding="utf-8")


def section(title):
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text):
    """The cells of each line of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def words(cell):
    return re.findall(r"`([^`]+)`", cell)


SCHEMES = rows(section("All of them"))


def test_every_scheme_has_one_row_with_its_formula():
    listed = [name for row in SCHEMES for name in words(row[0])]
    assert len(listed) == len({*listed})
    assert {*listed} == {*fi.schemes()}
    for row in SCHEMES:
        name, *aliases = words(row[0])
        assert row[1] == fi.schemes()[name]
        assert {fi.schemes()[alias] for alias in aliases} <= {name}
        assert len(row) == 4


def test_every_parameter_that_is_explained_is_one():
    explained = {word for row in rows(section("The parameters")) for word in words(row[0])}
    assert explained <= scheme_words()


@pytest.mark.parametrize("number", range(PAGE.count("```python")))
def test_examples_run(number):
    exec(re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)[number], {})


def test_results_of_the_first_example():
    assert "# Normal(mean=0.0, std=0.015625)" in PAGE
    assert str(fi.get_scheme("spectral").law(fi.Fans(1024, 256))) == "Normal(mean=0.0, std=0.015625)"
