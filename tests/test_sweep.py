"""Sweeps: the figures of single probes, whatever computes them."""

import concurrent.futures
import json
import math
import multiprocessing
import pickle
import re
import sys
import threading
import time
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest
from sweeps import GRID, figures

import fastinit as fi
from fastinit.probing.measure import measure
from fastinit.probing.resolve import resolve
from fastinit.probing.result import FIGURES
from fastinit.probing.sweep import Job, sweep

SWEEP = sys.modules["fastinit.probing.sweep"]  # fi.sweep is the function


def singles(grid):
    return [figures(fi.probe(**point)) for point in sweep(**{**grid}).points]


@pytest.mark.parametrize("backward", [True, False])
def test_the_figures_are_those_of_single_probes(backward):
    swept = sweep(**GRID, backward=backward)
    assert len(swept) == 16
    assert swept.complete
    for point, result in swept:
        assert figures(result) == figures(fi.probe(**point))


def test_points_come_in_the_order_of_the_product():
    swept = sweep(width=[4, 5], seed=[7, 8], depth=2, batch=3)
    assert [(p["width"], p["seed"]) for p, _ in swept] == [(4, 7), (4, 8), (5, 7), (5, 8)]
    assert [(r.width, r.seed) for _, r in swept] == [(4, 7), (4, 8), (5, 7), (5, 8)]


# Spawned: a child that was forked from a process with threads of its own is another test's subject.
SPAWN = multiprocessing.get_context("spawn")
POOLS = {"threads": lambda: ThreadPoolExecutor(3), "processes": lambda: ProcessPoolExecutor(2, mp_context=SPAWN)}


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_any_executor_gives_the_same_figures(pool):
    grid = {**GRID, "scheme": ["he_normal"]}
    alone = sweep(**grid)
    with pool() as executor:
        pooled = sweep(executor=executor, **grid)
    assert [figures(r) for _, r in pooled] == [figures(r) for _, r in alone]


@pytest.mark.parametrize("name", fi.schemes())
def test_a_scheme_can_be_pickled(name):
    scheme = fi.get_scheme(name)
    copy = pickle.loads(pickle.dumps(scheme))
    assert copy == scheme
    assert (hash(copy), str(copy), repr(copy)) == (hash(scheme), str(scheme), repr(scheme))
    assert copy.law(fi.Fans(20, 30)) == scheme.law(fi.Fans(20, 30))
    with pytest.raises(TypeError):
        copy.params["gain"] = 2


@numba.njit
def soft_step(z):
    return math.atan(4 * z)


@numba.njit
def soft_step_slope(z):
    return 4 / (1 + 16 * z * z)


# One value, several, a pair beside a name, a list of one pair.
OWN = {
    "a function": (soft_step, ["soft_step"]),
    "a pair": ((soft_step, soft_step_slope), ["soft_step"]),
    "a function without its slope": ((soft_step, None), ["soft_step"]),
    "two functions": ([soft_step, soft_step_slope], ["soft_step", "soft_step_slope"]),
    "two names": (("relu", "tanh"), ["relu", "tanh"]),
    "a pair and a name": ([(soft_step, soft_step_slope), "relu"], ["soft_step", "relu"]),
}
SMALL = {"depth": [1, 3], "width": 6, "batch": 5}


@pytest.mark.parametrize("case", OWN)
def test_functions_of_ones_own(case):
    given, names = OWN[case]
    swept = sweep(activation=given, **SMALL)
    assert [r.activation for _, r in swept] == [name for name in names for _ in range(2)]
    for point, result in swept:
        assert figures(result) == figures(fi.probe(**point))
    assert swept.to_pandas()["activation"].unique().tolist() == names
    assert np.atleast_1d(swept.to_xarray()["activation"].values).tolist() == names


def renamed():
    @numba.njit
    def soft_step(z):
        return math.atan(5 * z)

    return soft_step


@pytest.mark.parametrize("again", [soft_step, (soft_step, soft_step_slope), renamed()])
def test_two_functions_of_one_name_are_refused(again):
    with pytest.raises(ValueError, match="argument 'activation' must not repeat a value"):
        sweep(activation=[soft_step, "relu", again], **SMALL)


def test_the_code_of_a_function_is_part_of_the_grid(tmp_path):
    path = tmp_path / "sweep.jsonl"
    sweep(store=path, activation=["relu", soft_step], **SMALL)
    assert sweep(store=path, activation=["relu", soft_step], **SMALL).complete
    assert len(path.read_text().splitlines()) == 5
    for other in (renamed(), (soft_step, soft_step_slope)):
        with pytest.raises(ValueError, match="written with other values of activation"):
            sweep(store=path, activation=["relu", other], **SMALL)


def test_heat_maps_name_functions_and_schemes(monkeypatch):
    from fastinit.showing import heatmap

    pages = []
    monkeypatch.setattr(heatmap, "save", lambda page, path: pages.append(page))
    pair = (soft_step, soft_step_slope)
    sweep(activation=[pair, "relu"], sigma_w=[1.0, 2.0], **SMALL).plot("unused.png")
    assert [axes.get_title() for axes in pages[0].axes[:2]] == ["activation soft_step", "activation relu"]
    sweep(activation=[pair, "relu"], **SMALL).plot("unused.png", x="activation", y="depth")
    assert [tick.get_text() for tick in pages[1].axes[0].get_xticklabels()] == ["soft_step", "relu"]


def test_objects_of_the_grid_reach_other_processes(tmp_path):
    grid = {
        "scheme": [fi.get_scheme("he_normal", mode="fan_out"), fi.get_scheme("sparse", nonzeros=2), "normal"],
        "activation": [(soft_step, soft_step_slope), "tanh"],
        **SMALL,
    }
    alone = sweep(store=tmp_path / "sweep.jsonl", **grid)
    with POOLS["processes"]() as executor:
        pooled = sweep(executor=executor, **grid)
    assert [figures(r) for _, r in pooled] == [figures(r) for _, r in alone]
    # Written again, a scheme is the same one, and so is the grid.
    again = sweep(store=tmp_path / "sweep.jsonl", **{**grid, "scheme": pickle.loads(pickle.dumps(grid["scheme"]))})
    assert [figures(r) for _, r in again] == [figures(r) for _, r in alone]


def test_without_a_seed_every_point_has_its_own():
    swept = sweep(seed=None, depth=[1, 2, 3], width=5, batch=4)
    assert len({r.seed for _, r in swept}) == 3
    for point, result in swept:
        assert figures(result) == figures(fi.probe(**{**point, "seed": result.seed}))


def test_points_that_share_a_prefix_are_computed_once(monkeypatch):
    jobs = []
    run = Job.run
    monkeypatch.setattr(Job, "run", lambda self: jobs.append(self.indices) or run(self))
    grid = {"depth": [1, 5, 3], "seed": [0, 1], "width": 8, "batch": 6}
    swept = sweep(**grid, backward=False)
    assert sorted(jobs) == [(0, 2, 4), (1, 3, 5)]
    assert [r.depth for _, r in swept] == [1, 1, 5, 5, 3, 3]
    jobs.clear()
    sweep(**grid)  # gradients begin at each one's last layer, behind one forward pass
    assert sorted(jobs) == [(0, 2, 4), (1, 3, 5)]
    jobs.clear()
    sweep(**grid, residual=True, branch_scale="1/sqrt(depth)")  # a factor that follows the depth
    assert len(jobs) == 6


def test_large_networks_run_one_after_the_other(monkeypatch):
    monkeypatch.setattr(SWEEP, "LARGE", 100)
    threads = set()
    run = Job.run
    monkeypatch.setattr(Job, "run", lambda self: threads.add(threading.current_thread().name) or run(self))
    large = sweep(width=[20, 21, 22, 23], batch=10, depth=2)
    assert threads == {threading.main_thread().name}
    monkeypatch.undo()
    assert [figures(r) for _, r in large] == [figures(r) for _, r in sweep(width=[20, 21, 22, 23], batch=10, depth=2)]


def test_the_users_threads_are_left_as_they_were():
    import numba

    before = numba.get_num_threads()
    sweep(**GRID)
    assert numba.get_num_threads() == before


def test_tidy_rows():
    swept = sweep(**GRID)
    frame = swept.to_pandas()
    assert list(frame.columns) == [*GRID, "layer", *FIGURES, "verdict"]
    assert len(frame) == 8 * 1 + 8 * 4
    row = frame[(frame.scheme == "he_normal") & (frame.activation == "relu") & (frame.depth == 4) & (frame.seed == 1)]
    assert row.layer.tolist() == [0, 1, 2, 3]
    single = fi.probe(scheme="he_normal", activation="relu", depth=4, width=12, batch=10, seed=1)
    np.testing.assert_array_equal(row["std"], single.std)


def test_labelled_axes():
    data = sweep(**GRID).to_xarray()
    assert dict(data.sizes) == {"scheme": 2, "activation": 2, "depth": 2, "seed": 2, "layer": 4}
    assert data.width == 12
    single = fi.probe(scheme="xavier_uniform", activation="tanh", depth=1, width=12, batch=10, seed=1)
    at = data.sel(scheme="xavier_uniform", activation="tanh", depth=1, seed=1)
    assert at["std"].values[0] == single.std[0]
    assert np.isnan(at["std"].values[1:]).all()
    assert at["verdict"].item() == single.verdict


def test_arguments_that_are_sequences_themselves():
    widths = sweep(widths=[4, 5, 6], batch=3, seed=[0, 1])
    assert [r.widths for _, r in widths] == [(4, 5, 6)] * 2
    assert len(sweep(widths=[[4, 5], [4, 6, 7]], batch=3)) == 2
    assert len(sweep(range=(0, 1), depth=1, width=3, batch=3)) == 1
    assert len(sweep(range=[(0, 1), (-1, 1), None], depth=1, width=3, batch=3)) == 3
    x = np.ones((3, 4))
    assert len(sweep(inputs=x, depth=1, width=3)) == 1
    assert len(sweep(inputs=[x, 2 * x], depth=1, width=3)) == 2
    w = [np.ones((4, 2))]
    assert len(sweep(weights=w, batch=3)) == 1
    swept = sweep(weights=[w, [2 * w[0]]], batch=3, seed=[0, 1])
    assert len(swept) == 4
    assert len(swept.to_pandas()) == 4
    assert len(sweep(seed=np.arange(3), depth=1, width=3, batch=3)) == 3


def test_no_lists_is_one_point():
    swept = sweep(depth=1, width=3, batch=3)
    assert repr(swept) == "SweepResult(1 points)"
    assert swept.to_xarray()["std"].shape == (1,)


REFUSED = [
    ({"widht": [3]}, TypeError, "probe() has no argument 'widht'; did you mean 'width'?"),
    ({"width": [3, 0]}, ValueError, "argument 'width' must be an integer >= 1, got 0"),
    ({"scheme": ["he_normal", "nrmal"]}, ValueError, "did you mean 'normal'?"),
    ({"seed": []}, ValueError, "argument 'seed' must hold from 1 to 16777216 values, got []"),
    ({"seed": [1, 1]}, ValueError, "argument 'seed' must not repeat a value, got [1, 1]"),
    ({"executor": 3}, TypeError, "argument 'executor' must be an executor of concurrent.futures, got 3"),
    ({"progress": 1}, TypeError, "argument 'progress' must be True or False, got 1"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED, ids=str)
def test_a_wrong_argument_is_refused_before_anything_is_computed(arguments, error, words, tmp_path, monkeypatch):
    monkeypatch.setattr(Job, "run", lambda self: pytest.fail("computed"))
    path = tmp_path / "sweep.jsonl"
    with pytest.raises(error) as caught:
        sweep(**{"depth": 1, "batch": 3, "store": path, **arguments})
    assert words in str(caught.value)
    assert not path.exists()


class Interrupted(concurrent.futures.Executor):
    """Runs two jobs, then is interrupted."""

    def __init__(self):
        self.count = 0
        self.cancelled = 0

    def submit(self, function):
        future = concurrent.futures.Future()
        self.count += 1
        if self.count <= 2:
            future.set_result(function())
        elif self.count == 3:
            future.set_exception(KeyboardInterrupt())
        return future


def test_an_interrupted_sweep_returns_what_is_done():
    swept = sweep(executor=Interrupted(), depth=1, width=4, batch=3, seed=range(6))
    assert not swept.complete
    assert len(swept) <= 2
    frame = swept.to_pandas()
    assert len(frame) == len(swept)
    assert int(np.isfinite(swept.to_xarray()["std"].values).sum()) == len(swept)


# The second network asks for 11 TiB.
TOO_LARGE = {"depth": 1, "width": [6, 10**7], "batch": 10**5, "seed": [0, 1]}


def test_a_point_that_fails_names_itself_and_loses_no_other():
    with pytest.raises(
        fi.SweepError, match=r"^point 2 \(width=10000000, seed=0\) failed: MemoryError: .*; 2 of 4 "
    ) as caught:
        sweep(**TOO_LARGE)
    swept = caught.value.result
    assert isinstance(caught.value.__cause__, MemoryError)
    assert swept.results[2:] == (None, None)
    assert swept.errors == {2: caught.value.__cause__}
    assert repr(swept) == "SweepResult(width 2 x seed 2: 2 of 4 points, 1 errors)"
    for point, result in swept:
        assert figures(result) == figures(fi.probe(**point))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert len(again.result) == 2


def test_on_error_says_whether_to_go_on(monkeypatch):
    stopped = sweep(on_error="stop", **TOO_LARGE)
    assert (len(stopped), list(stopped.errors)) == (2, [2])
    skipped = sweep(on_error="skip", **{**TOO_LARGE, "width": [10**7, 6]})
    assert (len(skipped), list(skipped.errors)) == (2, [0, 1])
    assert skipped.results[:2] == (None, None)
    with pytest.raises(ValueError, match="argument 'on_error' must be one of raise, skip, stop, got 'ignore'"):
        sweep(on_error="ignore", **TOO_LARGE)


def test_a_network_that_is_too_deep_takes_no_other_with_it(monkeypatch):
    measure, together = SWEEP.measure, SWEEP.measure_depths

    def within(network):
        if network.depth > 3:
            raise MemoryError("too deep")
        return measure(network)

    monkeypatch.setattr(SWEEP, "measure", within)
    monkeypatch.setattr(SWEEP, "measure_depths", lambda networks: [within(n) for n in networks] and together(networks))
    swept = sweep(depth=[1, 5, 3], width=8, batch=6, seed=[0, 1], on_error="skip")
    assert [(p["depth"], p["seed"]) for p, _ in swept] == [(1, 0), (1, 1), (3, 0), (3, 1)]
    assert {index: str(error) for index, error in swept.errors.items()} == {2: "too deep", 3: "too deep"}
    monkeypatch.undo()
    for point, result in swept:
        assert figures(result) == figures(fi.probe(**point))


def test_points_under_way_when_another_fails_are_kept(tmp_path, monkeypatch):
    path, run, under_way = tmp_path / "sweep.jsonl", Job.run, threading.Event()

    def one_fails(self):
        (seed,) = {network.seed for network in self.networks}
        if seed == 1:
            under_way.wait(10)
            raise RuntimeError("no luck")
        under_way.set()
        time.sleep(0.5)
        return run(self)

    monkeypatch.setattr(Job, "run", one_fails)
    with (
        ThreadPoolExecutor(2) as pool,
        pytest.raises(fi.SweepError, match=r"point 1 \(seed=1\) failed.*: no luck") as caught,
    ):
        sweep(executor=pool, store=path, depth=1, width=4, batch=3, seed=range(8))
    swept = caught.value.result
    assert swept.results[0] is not None
    assert 1 <= len(swept) < 7
    assert path.read_bytes().count(b"\n") == len(swept) + 1


def test_a_pool_that_takes_no_job_is_told():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    swept = sweep(executor=pool, depth=1, width=4, batch=3, seed=range(3), on_error="skip")
    assert len(swept) == 0
    assert [str(error) for error in swept.errors.values()] == ["cannot schedule new futures after shutdown"] * 3


def test_an_error_keeps_no_arrays_of_the_point_that_failed(monkeypatch):
    class Large:
        pass

    def fail(network):
        large = Large()
        kept.append(weakref.ref(large))
        raise MemoryError

    kept = []
    monkeypatch.setattr(SWEEP, "measure", fail)
    swept = sweep(depth=1, width=4, batch=3, on_error="skip")
    assert len(swept.errors) == len(kept) == 1
    assert kept[0]() is None


def test_tables_and_pictures_of_what_is_there(tmp_path, monkeypatch):
    run = Job.run
    grid = {"sigma_w": [0.5, 1.0, 2.0], "depth": [2, 3, 4], "branch_scale": "1/sqrt(depth)", "residual": True}

    def no_deeper_than(depth):
        return lambda self: 1 / 0 if self.networks[0].depth > depth else run(self)

    for deepest, count in ((3, 6), (2, 3), (0, 0)):
        monkeypatch.setattr(Job, "run", no_deeper_than(deepest))
        swept = sweep(**grid, width=4, batch=3, on_error="skip")
        assert (len(swept), len(swept.errors)) == (count, 9 - count)
        assert len(swept.to_pandas()) == sum(result.depth for _, result in swept)
        assert int((swept.to_xarray()["verdict"] != "").sum()) == count
        swept.plot(tmp_path / "a.png")
        assert (tmp_path / "a.png").stat().st_size > 3000


def test_without_rich_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ImportError, match="rich"):
        sweep(progress=True, store=tmp_path / "sweep.jsonl", depth=1, width=4, batch=3)
    assert list(tmp_path.iterdir()) == []


def test_the_page_on_sweeps(tmp_path, monkeypatch):
    page = (Path(__file__).parent.parent / "docs" / "sweeps.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["std.png", "sweep.jsonl"]
    header, first, *rest = map(json.loads, (tmp_path / "sweep.jsonl").read_text().splitlines())
    assert list(header) == re.findall(r'"(fastinit_sweep|grid)": ', page)
    assert list(first) == re.findall(r'"(point|result|check)": ', page)
    assert len(rest) == 59


def test_progress_shows_on_stderr(capsys):
    sweep(progress=True, depth=1, width=4, batch=3, seed=range(3))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "3/3" in printed.err


def test_heat_maps(tmp_path):
    swept = sweep(
        activation=["tanh", "relu"], sigma_w=[0.5, 1.0, 2.0], depth=[1, 5, 10], width=16, batch=8, seed=range(2),
        backward=False,
    )  # fmt: skip
    for name, keywords in {
        "a.png": {},
        "b.svg": {"figure": "dead", "x": "depth", "y": "sigma_w", "layer": 0},
        "c.pdf": {"figure": "gradient_std"},
    }.items():
        swept.plot(tmp_path / name, **keywords)
        assert (tmp_path / name).stat().st_size > 3000


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"figure": "sdt"}, "did you mean 'std'?"),
        ({"x": "sigma"}, "argument 'x' must be one of"),
        ({"x": "depth", "y": "depth"}, "argument 'y' must differ from x, got 'depth'"),
    ],
)
def test_a_wrong_heat_map_is_refused(tmp_path, keywords, words):
    swept = sweep(sigma_w=[1.0, 2.0], depth=[1, 2], width=4, batch=4)
    with pytest.raises(ValueError, match="argument") as caught:
        swept.plot(tmp_path / "a.png", **keywords)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_heat_map_needs_two_arguments(tmp_path):
    with pytest.raises(ValueError, match="argument 'y' must name an argument with several numbers"):
        sweep(depth=[1, 2], width=4, batch=4).plot(tmp_path / "a.png")


def test_the_heat_map_shows_the_figures_and_the_line_where_chi_is_1(monkeypatch):
    from fastinit.showing import heatmap

    pages = []
    monkeypatch.setattr(heatmap, "save", lambda page, path: pages.append(page))
    swept = sweep(activation="relu", sigma_w=[1.0, 2.0], depth=[3, 9], width=64, batch=16, backward=False)
    swept.plot("unused.png")
    axes = pages[0].axes[0]
    shown = axes.collections[0].get_array()
    expected = [[fi.probe(sigma_w=s, depth=d, width=64, batch=16).std[-1] for s in (1.0, 2.0)] for d in (3, 9)]
    np.testing.assert_array_equal(np.asarray(shown).reshape(2, 2), expected)
    # chi = sigma_w^2 / 2 for ReLU, so that chi = 1 lies between 1 and 2.
    vertices = np.concatenate([path.vertices for path in axes.collections[1].get_paths()])
    assert ((vertices[:, 0] > 0.5) & (vertices[:, 0] < 1.5)).all()


def test_no_line_of_chi_is_drawn_by_chance(monkeypatch):
    """Over depth and width chi is 1 under He's weights, but for chance; over sigma_w it passes through 1."""
    small = {"batch": 32, "seed": range(2), "backward": False}
    chance = sweep(activation="relu", width=[32, 64, 128], depth=[2, 5, 10], **small)
    last = [r.chi[-1] for _, r in chance]
    assert min(last) < 1 < max(last)
    assert len(chance.plot_map().collections) == 1
    true = sweep(activation="relu", sigma_w=[0.7, 1.4, 2.8], width=[64, 128], depth=5, **small)
    assert len(true.plot_map().collections) == 2


def test_lines_with_bands_over_seeds():
    swept = sweep(activation=["tanh", "relu"], depth=[2, 4], width=8, batch=8, seed=range(3))
    axes = swept.plot_lines(where={"depth": 4})
    assert [line.get_label() for line in axes.get_lines()] == ["activation tanh", "activation relu"]
    stds = np.array([r.std for p, r in swept if p["depth"] == 4 and p["activation"] == "relu"])
    np.testing.assert_allclose(axes.get_lines()[1].get_ydata(), np.median(stds, axis=0))
    band = axes.collections[1].get_paths()[0].vertices
    assert {*stds.max(axis=0)} | {*stds.min(axis=0)} <= {*band[:, 1]}
    ours = swept.plot_lines(figure="dead", layers=[0, -1], where={"activation": "tanh"})
    assert swept.plot_lines(ours, where={"depth": 2}) is ours
    for where, words in (({"depth": 3}, "one of 2, 4 for depth, got 3"), ({"dept": 3}, "did you mean 'depth'")):
        with pytest.raises(ValueError, match=f"argument 'where' must .*{words}"):
            swept.plot_lines(where=where)
    with pytest.raises(TypeError, match="argument 'where' must be a mapping"):
        swept.plot_lines(where=3)
    grid = sweep(activation=["tanh", "relu"], depth=[1, 2], width=[4, 8], batch=4)
    with pytest.raises(ValueError, match="argument 'where' must choose a value of activation, got "):
        grid.plot_map()
    assert "activation relu" in grid.plot_map(where={"activation": "relu"}).get_title()


def test_a_network_that_was_measured_takes_no_addresses_to_another_process():
    network = resolve({"depth": 2, "width": 8, "batch": 4, "backward": False})
    measure(network)
    assert network._known.keys() >= {"stack", "ranges"}
    there = pickle.loads(pickle.dumps(network))
    assert not there._known
    np.testing.assert_equal(measure(there).std, measure(network).std)
