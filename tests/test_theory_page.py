"""The page on theory: its examples print what it says, and its table is that of the functions."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from fastinit import theory
from fastinit.activations import ACTIVATIONS

PAGE = (Path(__file__).parent.parent / "docs" / "theory.md").read_text(encoding="utf-8")


def test_its_examples_print_what_it_says():
    names = {}
    examples = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 5
    for code, output in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert printed.getvalue() == output


def test_its_table_has_every_activation_and_its_critical_point():
    table = PAGE[PAGE.index("| activation |") :].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(told) == sorted(ACTIVATIONS)
    for names, q, w, b, kind, side in rows:
        for name in re.findall(r"`(\w+)`", names):
            if q == "none":
                with pytest.raises(ValueError, match="'activation' must be one with a critical point"):
                    theory.edge_of_chaos(name)
                continue
            point = theory.edge_of_chaos(name)
            assert (point.kind, " ".join(point.stability.attracts_from)) == (kind, side)
            assert f"{point.sigma_b**2:.8f}" == (f"{float(b):.8f}")
            if name not in ("leaky_relu", "prelu"):
                assert f"{point.sigma_w**2:.8f}" == f"{float(w):.8f}"
            if q != "any":
                assert f"{point.q:.4f}" == f"{float(q):.4f}"
