"""What the batteries of `tests/quality` read is what its table says, and what they answer is judged right.

No battery is needed here; `python tests/quality/run.py` runs them.
"""

import math
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import twin
from quality import batteries, judge, page, run, streams
from scipy import stats

import fastinit as fi

SEED = 3
BASE = SEED << 40
# Chunks that are looked at: the first, and one by which every counter has carried.
CHUNKS = (0, 8_000)
PLACES = (0, 1, 2, 3, 17, 63, 64, 271, 272, 511, 512, 4095, 65_535, 65_536, 262_143)
LONGEST = 2**63 - 1


def gray(i):
    """The i-th Gray code, bit by bit: a bit is set where i's differs from its next higher one."""
    return int("".join("01"[a != b] for a, b in pairwise(f"0{i:b}")), 2)


def network(i, label):
    number, place = divmod(i, 8 * (16 * 16 + 16))
    layer, element = divmod(place, 16 * 16 + 16)
    if element < 256:
        return BASE + number, f"{label}.layer.{layer}.weight", element
    return BASE + number, f"{label}.layer.{layer}.bias", element - 256


def matrix(i, label):
    number, place = divmod(i, 512 * 512)
    column, row = divmod(place, 512)
    depth, tensor = divmod(number, 1024)
    return SEED, f"{label}.layer.{tensor}.weight", (depth * 512 + row) * 512 + column


def row_of_512(i, label):
    number, column = divmod(i, 512)
    row, tensor = divmod(number, 1024)
    return SEED, f"{label}.layer.{tensor}.weight", row * 512 + column


# order -> (seed, tensor's name, flat index) of its i-th element, in Python's own numbers and strings
ADDRESS = {
    "long": lambda i, label: (SEED, label, i),
    "far": lambda i, label: (SEED, "", 2**62 + i),
    "blocks": lambda i, label: (SEED, label, i // 64 * 64 + i % 4 * 16 + i // 4 % 16),
    "strided": lambda i, label: (SEED, label, i * 2**27),
    "shards": lambda i, label: (SEED, label, i % 1000 * 2**30 + i // 1000),
    "columns": lambda i, label: (SEED, label, i % 2**22 * 50257 + i // 2**22),
    "aligned_columns": lambda i, label: (SEED, label, i % 2**24 * 4096 + i // 2**24),
    "transposed": matrix,
    "names": lambda i, label: (SEED, f"{label}.layer.{i % 65536}.weight", i // 65536),
    "rows": row_of_512,
    "characters": lambda i, label: (SEED, f"{label}.{chr(i % 16384)}", i // 16384),
    "seeds": lambda i, label: (BASE + i, label, 0),
    "high_seeds": lambda i, label: ((SEED + i * 2**32) % 2**64, "", i >> 32),
    "gray_seeds": lambda i, label: (BASE + gray(i), label, 0),
    "seeds_and_names": lambda i, label: (BASE + i % 65536, f"{label}.layer.{i % 65536}.weight", i // 65536),
    "networks": network,
}


def drawn(law, address, **arguments):
    """The element at an address, as a user would ask for it."""
    seed, name, index = address
    draw = getattr(fi, law)
    return draw(LONGEST, seed=seed, name=name, region=(slice(index, index + 1),), **arguments)[0]


def word(address):
    """The word of a float32 element: all of it from the twin, its top 24 bits also from the package's own uniform."""
    seed, name, index = address
    w = int(twin.word32([index], seed, name)[0])
    multiple = float(drawn("uniform", address, low=-1, high=1)) * 2**24  # 2j + 1, j the top 24 bits, signed
    assert (int(multiple) - 1) // 2 % 2**24 == w >> 8
    return w


def cell(address, dtype, bits):
    return math.floor(Fraction(stats.norm.cdf(float(drawn("normal", address, dtype=dtype)))) * 2**bits)


def expected(order, view, i):
    """The i-th word of a stream, made element by element."""
    label = f"{order}.{view}"
    if view == "normal":
        first, second = (cell(ADDRESS[order](k, label), "float32", 16) for k in (2 * i, 2 * i + 1))
        return first * 2**16 + second
    if view == "normal64":
        return cell(ADDRESS[order](i, label), "float64", 32)
    w = word(ADDRESS[order](i, label))
    return int(f"{w:032b}"[::-1], 2) if view == "reversed" else w


def test_every_order_has_its_address_here():
    assert {order.__name__ for order in streams.TABLE} == set(ADDRESS)


@pytest.mark.parametrize(
    ("stream", "order", "view"),
    [
        (stream, order.__name__, view)
        for stream, (order, view) in zip(
            streams.STREAMS, [(order, view) for order, views in streams.TABLE.items() for view in views], strict=True
        )
    ],
    ids=[stream.name for stream in streams.STREAMS],
)
def test_stream_is_made_of_the_elements_it_names(stream, order, view):
    for k in CHUNKS:
        words = stream.words(SEED, k)
        assert words.dtype == np.uint32
        assert words.shape == (streams.CHUNK,)
        for place in PLACES:
            assert int(words[place]) == expected(order, view, k * streams.CHUNK + place)


def test_chunks_follow_each_other():
    stream = next(s for s in streams.STREAMS if s.name == "names")
    chunks = stream.chunks(SEED)
    for k in range(3):
        assert np.array_equal(next(chunks), stream.words(SEED, k))


def test_no_two_streams_share_an_element():
    # Of each stream, the blocks of four words that its first 2^12 elements and some later ones read.
    i = np.concatenate([np.arange(2**12), np.arange(1, 2**12) * 2**16]).astype(np.uint64)
    seen = set()
    for order, views in streams.TABLE.items():
        for view in views:
            seeds, names, elements = order(i, 0, f"{order.__name__}.{view}")
            group, lane = elements // (32 if view == "normal64" else 64), elements % 16
            parts = np.broadcast_arrays(seeds, names, group, lane)
            blocks = set(zip(*(part.tolist() for part in parts), strict=True))
            assert not blocks & seen
            seen |= blocks


# --- what must fail ---


def control(name, k=0):
    return next(s for s in streams.CONTROLS if s.name == name).words(SEED, k)


def test_randu_goes_on_from_chunk_to_chunk():
    x = np.concatenate([control("RANDU", k) for k in range(2)])
    assert not np.any(x & 1)
    x = x.astype(np.uint64) >> np.uint64(1)
    assert np.array_equal(x[1:], x[:-1] * 65_539 % 2**31)
    assert x[0] % 2 == 1  # of the longest period


def test_three_rounds_are_not_ten():
    words = control("three rounds", 1)
    blocks = np.arange(4) + streams.CHUNK // 4
    for rounds, same in ((3, True), (10, False)):
        answer = np.transpose(twin.philox((blocks, blocks * 0, blocks * 0, blocks * 0), (SEED, 0), rounds=rounds))
        assert np.array_equal(words[:16], answer.reshape(-1)) is same


def test_other_controls_are_what_they_say():
    twice = control("names twice")
    assert np.array_equal(twice[::2], twice[1::2])
    assert len(np.unique(twice)) > 0.499 * len(twice)
    stuck = control("stuck bit")
    assert np.all(stuck >> np.uint32(4) & 1)
    for bit in {*range(32)} - {4}:
        assert stats.binomtest(int((stuck >> np.uint32(bit) & 1).sum()), len(stuck), 0.5).pvalue > 1e-5
    wide = control("wide")
    z = stats.norm.ppf((np.concatenate([wide >> np.uint32(16), wide & np.uint32(65_535)]) + 0.5) / 65_536)
    assert abs(z.std() - 1.02) < 4.5 * 1.02 / math.sqrt(2 * z.size)


# --- the judgement ---


def table(rng, streams=28, statistics=15, power=1.0):
    names = [f"statistic {k}" for k in range(statistics)]
    return {f"stream {s}": dict(zip(names, rng.random(statistics) ** power, strict=True)) for s in range(streams)}


def test_random_p_values_pass():
    rng = np.random.default_rng(1)
    verdicts = [judge.Verdict(table(rng), 1e-10) for _ in range(40)]
    assert not any(verdict.complaints for verdict in verdicts)  # 2e-4 of them may complain
    assert verdicts[0].p_values == 28 * 15
    # Bonferroni's bound is one on a probability: as many as it says or fewer.
    assert sum(verdict.p_uniform < 0.1 for verdict in verdicts) <= stats.binom.isf(1e-4, 40, 0.1)


@pytest.mark.parametrize("p", [0.0, 1e-11, 1 - 1e-11, 1.0, math.nan])
def test_one_failure_is_a_failure(p):
    rows = table(np.random.default_rng(2))
    rows["stream 3"]["statistic 4"] = p
    verdict = judge.Verdict(rows, 1e-10)
    assert any(text.startswith("stream 3: statistic 4") for text in verdict.complaints)
    report = page.Report("b", "b 1", verdict, judge.Verdict({}, 1e-10))
    assert not report.passed
    assert "NOT RANDOM: stream 3: statistic 4" in report.summary()


def test_suspicious_streams_are_held_against_the_binomial():
    rows = table(np.random.default_rng(3))
    q = 15 * 2e-4
    for number in range(5):
        verdict = judge.Verdict(rows, 1e-10)
        assert len(verdict.suspicious_streams) == number
        tail = 1 - sum(math.comb(28, k) * q**k * (1 - q) ** (28 - k) for k in range(number))
        assert verdict.p_suspicious == pytest.approx(tail, rel=1e-6)
        assert bool(verdict.complaints) == (tail < 1e-4)
        for statistic in ("statistic 2", "statistic 7"):  # two of one stream count once
            rows[f"stream {number}"][statistic] = 5e-5 if number % 2 else 1 - 5e-5
    assert tail < 1e-4


def test_a_bias_too_small_for_any_stream_is_seen_in_all():
    rows = table(np.random.default_rng(4), power=2.0)
    verdict = judge.Verdict(rows, 1e-10)
    assert not verdict.beyond(1e-8)
    assert any("not uniform" in text for text in verdict.complaints)


def test_counts_in_steps_are_not_asked_to_be_uniform():
    rows = {f"stream {k}": {"BirthdaySpacings": 0.5, "Gap": k / 28} for k in range(28)}
    assert set(judge.Verdict(rows, 1e-10).uniformity) == {"Gap"}


def test_a_control_that_passes_is_reported():
    good, bad = {"fine": {"a": 0.5}}, {"bad": {"a": 1e-12}, "unseen": {"a": 1e-9}}
    report = page.Report("b", "b 1", judge.Verdict(good, 1e-10), judge.Verdict(bad, 1e-10))
    assert report.unnoticed == ["unseen"]
    assert not report.passed
    assert "CONTROL NOT NOTICED: unseen" in report.summary()


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.5, "0.500"), (3e-5, "3.0e-05"), (1 - 3e-5, "1 - 3.0e-05"), (1e-12, "**1.0e-12**"), (1.0, "**1 - 0.0e+00**")],
)
def test_p_values_are_shown_from_the_nearer_end(p, text):
    assert page.shown(p, 1e-10) == text


# --- the command ---

# Reads some words, and finds in them nothing but a fourth bit that is always set.
PROGRAM = """#!{python}
import sys
words = memoryview(sys.stdin.buffer.read(4 * 1000)).cast("I")
test = sys.argv[sys.argv.index("-d") + 1]
print("#   a line of dieharder version 1.2.3 Somebody   #")
print(f"       test_{{test}}|{{0.5 if any(~w >> 4 & 1 for w in words) else 0:.8f}}")
print(f"       test_{{test}}|0.40000000")
"""


@pytest.fixture
def only_dieharder(tmp_path, monkeypatch):
    """A machine without a compiler, with a program of that name."""
    program = tmp_path / "dieharder"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    return program


def test_the_command_takes_the_battery_that_is_there(only_dieharder, capfd):
    assert run.main(["--only", "long, r", "--jobs", "1"]) == 0
    out = capfd.readouterr().out
    assert "dieharder: 1 streams" in out
    assert f"{2 * len(batteries.DIEHARDER)} p-values" in out
    assert out.rstrip().endswith("Passed.")


def test_the_command_fails_where_a_control_is_not_noticed(only_dieharder, capfd):
    assert run.main(["--only", "stuck bit", "--jobs", "1"]) == 0
    assert "Controls that fail: 1 of 1." in capfd.readouterr().out
    assert run.main(["--only", "RANDU", "--jobs", "1"]) == 1
    assert "CONTROL NOT NOTICED: RANDU" in capfd.readouterr().out


def test_the_page_has_every_stream_and_what_they_gave(only_dieharder, tmp_path, monkeypatch):
    few = [s for s in streams.STREAMS if s.name in ("long", "seeds")], [streams.CONTROLS[3]]
    monkeypatch.setattr(run, "STREAMS", few[0])
    monkeypatch.setattr(run, "CONTROLS", few[1])
    written = tmp_path / "page.md"
    assert run.main(["--battery", "dieharder", "--write", str(written), "--seed", "5"]) == 0
    text = written.read_text(encoding="utf-8")
    for line in (
        "## dieharder: version 1.2.3",
        "| long | 0.500 | 0.400 |",
        "| control: stuck bit | **0.0e+00** |",
        "seed 5,",
    ):
        assert line in text
    for s in streams.STREAMS + streams.CONTROLS:
        assert f"{s.name} | {s.what} |" in text


def test_the_command_says_what_is_missing(only_dieharder, capfd):
    only_dieharder.unlink()
    assert run.main([]) == 2
    error = capfd.readouterr().err
    assert "no-such-compiler" in error
    assert "needs the program dieharder" in error


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--only", "long", "--write"], ["--seed", "-1"]])
def test_the_command_refuses_what_it_cannot_do(arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        run.main(arguments)
    assert refused.value.code == 2


def test_each_program_of_a_battery_has_words_of_its_own():
    # Each takes half a chunk and a word; the rest of the chunk that it was fed is nobody's.
    program = f"""import sys, struct
data = sys.stdin.buffer.read(4 * ({streams.CHUNK} // 2 + 1))
print("p", "first", struct.unpack("=I", data[:4])[0], sep="\\t")
"""
    command = (sys.executable, "-c", program)
    battery = batteries.Battery("b", (command, command), r"^p\t(.+)\t(\S+)$", 1e-10)
    chunks = (np.full(streams.CHUNK, k, np.uint32) for k in range(100))
    assert batteries.examine(battery, chunks).p_values == {"first": 0.0, "first 2": 1.0}


def test_a_battery_that_breaks_is_an_error():
    battery = batteries.Battery("b", ((sys.executable, "-c", "raise SystemExit('no')"),), "x(y)(z)", 1e-10)
    with pytest.raises(RuntimeError, match="ended with 1:\nno"):
        batteries.examine(battery, iter([np.zeros(8, np.uint32)]))
