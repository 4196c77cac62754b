"""docs/plans.md: its examples run, its table is that of the presets."""

import doctest
import tomllib
from pathlib import Path

import fastinit as fi

PAGE = Path(__file__).parent.parent / "docs" / "plans.md"
BEGIN, END = "<!-- presets -->\n", "<!-- /presets -->\n"


def table():
    """The table of presets, as the page has it."""
    lines = ["| preset | what, with its variables | source |", "|---|---|---|"]
    for name, line in fi.Plan.presets().items():
        what, _, source = line.rpartition("; ")
        lines.append(f"| `{name}` | {what} | {source} |")
    return "\n".join(lines) + "\n"


def test_examples_run():
    failed, tried = doctest.testfile(
        str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, encoding="utf-8"
    )
    assert tried > 10
    assert failed == 0


def test_the_table_is_that_of_the_presets():
    text = PAGE.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == table(), (
        "python tests/test_plans_page.py writes it"
    )


def test_the_file_is_a_plan(tmp_path):
    text = PAGE.read_text().split("```toml\n")[1].split("```")[0]
    (tmp_path / "plan.toml").write_text(text)
    plan = fi.Plan.load(tmp_path / "plan.toml")
    assert plan.to_dict()["rules"] == tomllib.loads(text)["rules"]
    law = plan.resolve({"h.0.c_proj.weight": (4, 4), "x": 3})["h.0.c_proj.weight"].pieces[0].law
    assert law.std == 0.02 / 24**0.5


if __name__ == "__main__":
    page = PAGE.read_text()
    PAGE.write_text(page[: page.index(BEGIN) + len(BEGIN)] + table() + page[page.index(END) :])
