"""The languages of plans: expressions, patterns, files. Hostile ones are refused, and in no time."""

import contextlib
import json
import math
import re
import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import lane

import fastinit as fi
from fastinit.models.costs import MOST_WORK, work
from fastinit.models.expressions import Expression

VALUES = {"n": 12, "x": 0.5, "shape": (4, 6), "ndim": 2, "zero": 0, "word": "abc"}


def value(text):
    expression = Expression(text, "argument 'a'")
    expression.check_names(VALUES)
    return expression.value(VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.02 / sqrt(2 * n)", 0.02 / math.sqrt(24)),
        ("-n ** 2", -144),
        ("2 ** 3 ** 2", 512),
        ("7 // 2 + 7 % 4 - -1", 7),
        ("n if x < 1 else zero", 12),
        ("1 < x < 2 or n == 12 and not zero", 1),
        ("shape[0] * shape[-1]", 24),
        ("prod(shape) + max(shape) + min(shape) + len(shape)", 24 + 6 + 4 + 2),
        ("round(2.5) + floor(-0.5) + ceil(0.5) + abs(-3)", 2 - 1 + 1 + 3),
        ("exp(log(n)) - n", math.exp(math.log(12)) - 12),
        ("log2(8) + cos(0) + sin(pi / 2)", 5),
        ("2 ** 64", 2.0**64),
        ("9 ** 99", 9.0**99),
        ("1 / zero if zero else 3", 3),
        ("max(1, n, x)", 12),
        ("1_000 + 0x10", 1016),
        ("inf", math.inf),
    ],
)
def test_expressions(text, expected):
    found = value(text)
    assert found == expected
    assert type(found) in (int, float)


REFUSED = {
    "Attribute is no arithmetic": ["n.real", "().__class__", "n.__class__.__mro__"],
    "of functions there are": ["__import__('os')", "print(1)", "(lambda: 1)()", "sqrt(x=4)", "max(**shape)", "n(1)"],
    "is no arithmetic": [
        "lambda: 1", "[n for n in shape]", "{n: 1}", "{n}", "[n]", "(n, n)", "f'{n}'", "(n := 1)", "min(*shape)",
        "shape[0:1]", "n @ n", "n << 2", "n & 1", "~n", "n is n", "n in shape", "{**n}", "(n for n in shape)",
        "await n",
    ],
    "is no number": ["'a'", "b'a'", "1j", "None", "True", "...", "shape[True]", "'a' * 10 ** 9"],
    "more than 400 characters": ["n" * 10**6, "(" * 10**6, "1+" * 500 + "1"],
    "nested more than 40 deep": ["-" * 300 + "1", "1" + "+1" * 150, "abs(" * 60 + "1" + ")" * 60],
    "not ASCII": ["１", "1٢", "ｓｑｒｔ(4)", "π", "n\u00a0+ 1", "\u202e1"],
    "is none of": ["nan", "NaN", "layer", "__builtins__"],
    "did you mean": ["shap[0]"],
    "a number is too large": ["10 ** 10 ** 10", "9 ** 9 ** 9 ** 9", "2.0 ** 5000", "exp(1000)", "9" * 390],
    "its value is nan": ["inf - inf", "inf * 0"],
    "no real number": ["(-8) ** 0.5"],
    "by zero": ["1 / zero", "1 // zero", "1 % zero"],
    "math domain error": ["log(0)", "sqrt(-1)"],
    "a shape is several numbers": ["shape * 2", "-shape", "shape + shape", "shape < shape"],
    "its value is (4, 6)": ["shape", "shape if n else 1", "max(shape, shape)"],
    "out of range": ["shape[9]", "shape[-3]"],
    "word is the text 'abc'": ["word", "word * 10 ** 9", "word % 3", "word + word", "len(word)", "word == word"],
    "must be a number or arithmetic": [
        "", " ", "\n", "1\n2", "1; 2", "1 +", "x = 1", "import os", "yield", "return 1", "1 if", "\x00", "1\x00", "*n",
        "((((", "\\", "1..2", "0777", "shape[0.5]", "max()", "len(3)", "round(1, 2, 3)", "floor(inf)", "shape[0][0]",
    ],
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_hostile_expressions(reason):
    for text in REFUSED[reason]:
        start = time.process_time()
        with pytest.raises(ValueError, match=re.escape(reason)) as caught:
            value(text)
        assert str(caught.value).startswith("argument 'a' must be a number or arithmetic")
        assert len(str(caught.value)) < 1000
        assert time.process_time() - start < 1


@lane(150, 5000)
@given(st.text(st.sampled_from("0123456789.+-*/%()[]<>=!, nxshapeiflogmxqrt_'\"\\"), max_size=60))
def test_any_expression_is_a_number_or_refused(text):
    with contextlib.suppress(ValueError):
        assert type(value(text)) in (int, float)


def test_equal_numbers_of_different_signs_are_different_constants():
    rules = [(n, {"scheme": "constant", "value": v}) for n, v in (("a", 0.0), ("b", -0.0), ("c", "0.0"), ("d", "-0.0"))]
    found = fi.Plan(rules).init(dict.fromkeys("abcd", 1), seed=0)
    assert [math.copysign(1, float(found[n][0])) for n in "abcd"] == [1, -1, 1, -1]


# Patterns.

MATCHES = {
    "a.*.b": (["a.x.b", "a..b"], ["a.x.y.b", "a.x/y.b", "a.b"]),
    "a.**.b": (["a.x.b", "a.x.y.b", "a.x/y.b"], ["a.b"]),
    "**.b": (["b", "a.b", "x/a.b", "x/b"], ["ab", "b.c", "a.bb"]),
    "**": (["", "a", "a.b/c"], []),
    "**b": (["b", "ab", "a.b"], ["bc"]),
    "a?b": (["axb"], ["ab", "a.b", "a/b", "axxb"]),
    "[ab]x[!0-9]": (["axa", "bxb"], ["cxa", "ax1", "ax.", "ax/", "a!a"]),
    "[!]": (["!"], ["a"]),
    "[^a]": (["^", "a"], ["b"]),
    r"[\d]": (["\\", "d"], ["1"]),
    r"[!\d]": (["1", "e"], ["\\", "d"]),
    "a]b[": (["a]b["], ["ab"]),
    "{q,k,v}.w": (["q.w", "v.w"], ["qk.w", "x.w"]),
    "{a.b,a}.w": (["a.b.w", "a.w"], ["aXb.w"]),
    "w{,s}": (["w", "ws"], ["w,s"]),
    "h.{i}.{i}": (["h.3.3", "h.12.12"], ["h.1.12", "h.12.1", "h.3.4", "h.a.a"]),
    "h{i}2": ([], ["h12", "h122"]),
    "h{i}*": (["h12", "h12x"], ["hx"]),
    "*{i}": (["h12", "7"], ["h", "12h"]),
    "h{i}": (["h" + "9" * 18], ["h" + "9" * 19, "h٣", "h-1", "h1.0"]),
    "re:(?i)A+": (["aA"], ["b"]),
    "re:a.c": (["abc", "a\nc"], ["xabc", "abcx"]),
    "a+(b)": (["a+(b)"], ["aab"]),
}


@pytest.mark.parametrize("pattern", MATCHES)
def test_patterns(pattern):
    plan = fi.Plan([(pattern, "skip")])
    yes, no = MATCHES[pattern]
    for name in yes:
        assert plan.resolve({name: 1})[name].pattern == pattern, name
    for name in no:
        with pytest.raises(ValueError, match="exactly one rule"):
            plan.resolve({name: 1})


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("h{i}.w", "h12.w", 12),
        ("*{i}.w", "h12.w", 12),
        ("**{i}", "a.b007", 7),
        (r"re:h(?P<i>\d+)-(?P<j>\d)", "h31-5", 31),
    ],
)
def test_numbers_are_captured_whole(pattern, name, expected):
    found = fi.Plan([(pattern, {"scheme": "constant", "value": "i"})]).resolve({name: 1})
    assert found[name].pieces[0].law.value == expected


def test_compiled_patterns_keep_their_flags():
    plan = fi.Plan([(re.compile("A b", re.I | re.X), "zeros")])
    assert "ab" in plan.resolve({"ab": 1})
    assert plan.rules[0][0] == "re:(?ix)A b"


SLOW = [
    "re:(a+)+b", "re:(a|a)*b", "re:(a|aa)+$", "re:(.*)*", "re:(?:a?){64}a{64}", "re:" + "a?" * 90 + "a" * 90,
    "re:.*.*.*.*x", r"re:\w*\w*\w*\w*x", "re:(?:a{1,60}){1,60}", "re:(?:.{0,64}){0,64}x", "re:(?=(a+)+b)a",
    "re:(?>(a|aa)+)b", "re:(?!(?:a*)*b).*", "re:" + "(?:a|a)" * 50, "*" * 9 + "a", "**a" * 6, "*a*a*a*a*a*b",
    "re:(?:(?:a|aa){2,3})++b",
]  # fmt: skip


@pytest.mark.parametrize("pattern", SLOW)
def test_slow_patterns_are_refused(pattern):
    with pytest.raises(ValueError, match=r"quick to match|at most 400 characters"):
        fi.Plan([(pattern, "zeros")])


BROKEN = [
    "{", "}", "{}", "{a", "a}", "{a b}", "{1}", "{é}", "[z-a]", "re:(", "re:[", "re:\\", "re:(?P<x>a)(?P<x>b)",
    "a" * 401, "re:(?u)a", "re:(?L)a", "re:a{2,1}", "re:*", "{" * 300, "re:(?P=x)", 3, None, b"a",
    ["a"], re.compile(b"a"),
]  # fmt: skip


@pytest.mark.parametrize("pattern", BROKEN)
def test_broken_patterns_are_refused(pattern):
    with pytest.raises((TypeError, ValueError), match="argument 'rules' must"):
        fi.Plan([(pattern, "zeros")])


def several(inner):
    return st.lists(inner, min_size=1, max_size=3)


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^b]", r"\w", r"\."])
REPEATS = st.sampled_from(["", "", "*", "+", "?", "*?", "{1,60}", "++", "{2}"])
GROUPS = st.sampled_from(["(?:", "(", "(?=", "(?!", "(?>"])
SOURCES = st.recursive(
    st.tuples(ATOMS, REPEATS).map("".join),
    lambda inner: st.tuples(
        GROUPS, several(several(inner).map("".join)).map("|".join), REPEATS
    ).map(lambda t: f"{t[0]}{t[1]}){t[2]}"),
    max_leaves=8,
)  # fmt: skip


@lane(100, 3000)
@given(SOURCES)
def test_what_is_let_through_is_quick(source):
    try:
        regex = re.compile(source, re.ASCII | re.DOTALL)
    except re.error:
        return
    if work(source, re.ASCII | re.DOTALL) > MOST_WORK:
        return
    for name in ("a" * 512, "ab" * 256, "a" * 511 + "b", "a." * 256, "b" * 512):
        start = time.process_time()
        regex.fullmatch(name)
        assert time.process_time() - start < 5


# Files.

EVERYTHING = fi.Plan(
    [
        (
            "é\n\x7f\x00\t\"'\\.{layer}",
            {"scheme": "normal", "std": "1 / (layer + n)", "note": "ünï\x1f\u2028 \\ \" '''"},
        ),
        ("re:a+", {"scheme": "truncated_normal", "lower": -math.inf, "upper": math.inf, "std": 1e-300}),
        ("b", {"scheme": "constant", "value": -0.0, "set": {"[0, 1:]": 2**53, "[-1]": "1 / 3"}, "ndim": [2, 3]}),
        ("c", {"segments": [{"name": "{parent}.q", "scheme": "ones", "size": 2}, {"name": "k", "scheme": "zeros"}]}),
        ("d", {"tie": ["b", "{name}x"]}),
        ("e", "skip"),
        ("f", {"scheme": "he_normal", "truncated": True, "layout": [[1], [0]], "stack": ["i"], "lr": 0.1, "axis": -1}),
    ],
    variables={"n": 3, "x": 0.1 + 0.2, "big": 2**63, "wide": math.inf, "yes": True},
    first_match=True,
)


@pytest.mark.parametrize("suffix", ["toml", "json", "JSON"])
def test_files_give_the_same_plan(suffix, tmp_path):
    path = tmp_path / f"plan.{suffix}"
    EVERYTHING.save(path)
    found = fi.Plan.load(path)
    shapes = {"é\n\x7f\x00\t\"'\\.4": (3, 2), "aa": (9, 9), "b": (3, 3), "c": 6, "d": (3, 3), "e": 1, "f": (2, 3, 4)}
    a, b = EVERYTHING.init(shapes, seed=3), found.init(shapes, seed=3)
    assert {k: v.tobytes() for k, v in a.items()} == {k: v.tobytes() for k, v in b.items()}
    assert found.learning_rates(shapes) == EVERYTHING.learning_rates(shapes)
    assert found.variables == EVERYTHING.variables
    if suffix == "toml":
        assert found == EVERYTHING
        assert hash(found) == hash(EVERYTHING)


def test_the_text_is_plain_json_and_toml(tmp_path):
    record = json.loads(EVERYTHING.to_json(), parse_constant=lambda word: pytest.fail(word))
    assert "\n" not in EVERYTHING.to_json()
    assert fi.Plan.from_json(EVERYTHING.to_json()).to_json() == EVERYTHING.to_json()
    assert record["format"] == 1
    EVERYTHING.save(tmp_path / "a.toml")
    assert tomllib.loads((tmp_path / "a.toml").read_text(encoding="utf-8"))["variables"]["wide"] == math.inf


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "3", "null", "{}", '{"rules": 3}', '{"rules": [3]}', '{"rules": [["a"]]}',
        '{"rules": [{"pattern": "a"}]}',
        '{"rules": [{"scheme": "zeros"}]}', '{"rules": [], "x": 1}', '{"rules": [], "format": 2}',
        '{"rules": [], "first_match": 1}', '{"rules": [], "variables": [1]}',
        '{"rules": [], "variables": {"pi": 1}}',
        '{"rules": [], "variables": {"a": "b"}}',
        '{"rules": [], "variables": {"a": null}}', "[" * 100_000, '{"rules": ',
        '{"rules": [["a", null]]}', '{"rules": [["a", {"scheme": null}]]}',
        '{"rules": [["a", {"scheme": ["zeros"]}]]}',
    ],
)  # fmt: skip
def test_broken_files_are_refused(text, tmp_path):
    with pytest.raises((TypeError, ValueError), match="argument '"):
        fi.Plan.from_json(text)
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises((TypeError, ValueError), match=r"argument '|file '"):
        fi.Plan.load(tmp_path / "plan.json")


def test_a_broken_toml_file_is_named(tmp_path):
    for i, content in enumerate((b"\xff\xfe", b"rules = [", b"a = 1\na = 2", b"")):
        path = tmp_path / f"{i}.toml"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"toml' must be TOML in UTF-8|must be a plan"):
            fi.Plan.load(path)
    with pytest.raises(ValueError, match=r"must end with .toml or .json, got 'plan.txt'"):
        fi.Plan.load("plan.txt")
    with pytest.raises(OSError, match="missing"):
        fi.Plan.load(tmp_path / "missing.toml")
