"""The command line: its output, its files, its exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from optional import library

import fastinit as fi
from fastinit import cli
from fastinit.showing import demo

runner = library("typer.testing").CliRunner()


def invoke(*words):
    from fastinit.showing.commands import app

    return runner.invoke(app, list(map(str, words)), catch_exceptions=False)


def fastinit(*words, **options):
    code = "from fastinit.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=300, **options
    )


COMMANDS = [
    "demo", "probe", "sweep", "recommend", "theory", "init", "checkpoint", "explain", "verify", "check", "schemes",
    "compare", "report", "warmup", "info", "cache",
]  # fmt: skip


def test_help_names_every_command():
    done = invoke("--help")
    assert done.exit_code == 0
    assert all(command in done.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    done = invoke(command, "--help")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 4


def test_version():
    assert invoke("--version").output.strip() == f"fastinit {fi.__version__}"


def test_schemes_lists_every_name_and_formula():
    words = " ".join(invoke("schemes").output.split())
    for name in fi.schemes():
        assert name in words
    assert "N(mean, std²)" in words


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_init_writes_what_init_returns(tmp_path, dtype):
    path = tmp_path / "w.npy"
    done = invoke("init", "he_normal", "--shape", "30,20", "--dtype", dtype, "--seed", 3, "--name", "a", "-o", path)
    assert done.exit_code == 0
    written = np.load(path)
    expected = fi.init("he_normal", (30, 20), dtype=dtype, seed=3, name="a")
    assert written.dtype == expected.dtype
    np.testing.assert_array_equal(written, expected)
    assert [p.name for p in tmp_path.iterdir()] == ["w.npy"]


def test_bfloat16_is_read_back_as_the_command_says(tmp_path):
    path = tmp_path / "w.npy"
    done = invoke("init", "normal", "-p", "std=0.02", "--shape", "64x32", "--dtype", "bfloat16", "-o", path)
    expression = re.search(r"read it with: (.*)", done.output.replace("\n", "")).group(1)
    read = eval(expression, {"np": np, "ml_dtypes": ml_dtypes})
    expected = fi.init("normal", (64, 32), std=0.02, dtype="bfloat16", seed=0)
    assert read.dtype == expected.dtype
    np.testing.assert_array_equal(read.view(np.uint16), expected.view(np.uint16))


LARGE = [("sparse", (41, 30)), *(("uniform", shape) for shape in ((1, 350), (2, 3, 200), (250,), (3, 0)))]


@pytest.mark.parametrize(("scheme", "shape"), LARGE, ids=str)
def test_a_large_tensor_is_written_in_blocks(tmp_path, monkeypatch, scheme, shape):
    monkeypatch.setattr("fastinit.showing.commands.tensors._BLOCK", 100)
    words = ["init", scheme, "--shape", ",".join(map(str, shape)), "--dtype", "float64", "-o", tmp_path / "w.npy"]
    assert invoke(*words).exit_code == 0
    np.save(tmp_path / "expected.npy", fi.init(scheme, shape, seed=0, dtype="float64"))
    assert (tmp_path / "w.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_parameters_and_layout_reach_the_scheme(tmp_path):
    path = tmp_path / "w.npy"
    words = ["--shape", "8,4,3,3", "--layout", "oi", "--groups", 2, "-p", "truncated=true", "-p", "mode=fan_out"]
    assert invoke("init", "he_normal", *words, "-o", path).exit_code == 0
    expected = fi.init("he_normal", (8, 4, 3, 3), layout="oi", groups=2, truncated=True, mode="fan_out", seed=0)
    np.testing.assert_array_equal(np.load(path), expected)


def test_strides_and_fans_reach_the_scheme(tmp_path):
    path = tmp_path / "w.npy"
    words = ["--shape", "8,4,3,3", "--layout", "iohw", "--groups", 2, "--transposed"]
    for stride, text in ((2, "2"), ((2, 1), "2,1")):
        assert invoke("init", "he_normal", *words, "--stride", text, "--force", "-o", path).exit_code == 0
        expected = fi.init("he_normal", (8, 4, 3, 3), layout="iohw", groups=2, transposed=True, stride=stride, seed=0)
        np.testing.assert_array_equal(np.load(path), expected)
    assert (
        invoke(
            "init", "xavier_uniform", "--shape", 8, "--fan-in", 100, "--fan-out", 8.5, "-o", path, "--force"
        ).exit_code
        == 0
    )
    np.testing.assert_array_equal(np.load(path), fi.init("xavier_uniform", (8,), fan_in=100, fan_out=8.5, seed=0))


def test_probe_prints_saves_and_draws(tmp_path):
    words = ["--scheme", "normal", "-p", "std=0.01", "--activation", "tanh", "--depth", 5, "--width", 50]
    files = ["--save", tmp_path / "p.json", "--plot", tmp_path / "p.png"]
    done = invoke("probe", *words, "--batch", 64, *files)
    assert done.exit_code == 0
    assert "vanishing" in done.output
    loaded = fi.ProbeResult.load(tmp_path / "p.json")
    expected = fi.probe(scheme="normal", std=0.01, activation="tanh", depth=5, width=50, batch=64)
    assert loaded.std.tolist() == expected.std.tolist()
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_probe_takes_widths_sigma_and_bias(tmp_path):
    path = tmp_path / "p.json"
    words = ["--widths", "6,5,4", "--sigma-w", 1.5, "--sigma-b", 0.1, "--bias", 0.2, "--no-backward"]
    assert invoke("probe", *words, "--save", path).exit_code == 0
    values = json.loads(path.read_text())
    assert (values["widths"], values["params"], values["bias"]) == ([6, 5, 4], {"sigma_w": 1.5}, 0.2)
    assert values["gradient_std"] == [None, None]


def test_info_names_versions_threads_and_the_cache():
    from fastinit_kernels.machine.cache import cache_folder

    output = invoke("info").output
    assert fi.__version__ in output
    assert np.__version__ in output
    assert str(cache_folder()) in output.replace("\n", "")
    assert re.search(r"threading layer +(omp|tbb|workqueue|none)", output)


@pytest.fixture
def few(monkeypatch):
    """Experiments small enough for a test, every scheme among them."""
    networks = ((3, 12), (14, 16))
    monkeypatch.setattr(demo, "BATCH", 20)
    monkeypatch.setattr(demo, "NETWORKS", networks)
    experiments = [
        demo.Experiment(label, activation, *network, arguments)
        for network in networks
        for activation in ("tanh", "relu")
        for label, arguments in demo.SCHEMES.items()
    ]
    monkeypatch.setattr(demo, "EXPERIMENTS", tuple(experiments))
    return experiments


def test_demo_prints_every_experiment_and_its_pictures(few, tmp_path):
    done = invoke("demo", "-o", tmp_path / "new" / "folder")
    assert done.exit_code == 0
    words = " ".join(done.output.split())
    assert words.count("symmetric: all") == 8
    assert "xavier_normal, tanh, 3 x 12" in words
    assert "layer mean std saturated distinct grad std" in words
    assert "24 networks probed" in words
    written = sorted(p.name for p in (tmp_path / "new" / "folder").iterdir())
    assert written == sorted(
        f"{kind}-{size}.png" for size in ("3x12", "14x16") for kind in ("histograms-tanh", "histograms-relu", "signal")
    )
    for name in written:
        assert name in done.output


def test_demo_without_pictures_writes_nothing(few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke("demo", "--no-pictures").exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_the_experiments_are_those_of_the_articles():
    assert len(demo.EXPERIMENTS) == 36
    assert {(e.depth, e.width) for e in demo.EXPERIMENTS} == {(5, 100), (50, 500)}
    assert {e.activation for e in demo.EXPERIMENTS} == {"sigmoid", "tanh", "relu"}
    assert demo.BATCH == 1000


WRONG = [
    (["init", "he_norml", "--shape", "3,3", "-o", "w.npy"], "did you mean 'he_normal'?"),
    (["init", "normal", "--shape", "3,-3", "-o", "w.npy"], "--shape must hold integers >= 0, got (3, -3)"),
    (["init", "normal", "--shape", "3,a", "-o", "w.npy"], "--shape must be integers separated by commas"),
    (
        ["init", "normal", "--shape", "3", "-p", "std", "-o", "w.npy"],
        "--param must have the form NAME=VALUE",
    ),
    (["init", "normal", "--shape", "3", "-p", "sdt=1", "-o", "w.npy"], "-p sdt must be a parameter of scheme"),
    (["init", "normal", "--shape", "3", "-o", "w.bin"], "--output must end in .npy, got 'w.bin'"),
    (["init", "normal", "--shape", "3", "--dtype", "int8", "-o", "w.npy"], "--dtype must be one of"),
    (["init", "normal", "--shape", "3", "-o", "missing/w.npy"], "No such file or directory"),
    (["init", "normal", "-o", "w.npy"], "Missing option '--shape'"),
    (["probe", "--depth", "0"], "--depth must be an integer >= 1, got 0"),
    (["probe", "--depth", "x"], "depth"),
    (["probe", "--activation", "[red]rleu"], "--activation must be one of"),
    (["nonsense"], "nonsense"),
    (["probe", "--widht", "3"], "--widht"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=lambda x: str(x)[:40])
def test_an_error_is_one_line_and_exit_code_2(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert list(tmp_path.iterdir()) == []


def test_errors_leave_no_traceback_in_a_process(tmp_path):
    done = fastinit("init", "normal", "--shape", "3", "-p", "std=-1", "-o", tmp_path / "w.npy")
    assert done.returncode == 2
    assert done.stderr.startswith("error: -p std must be a finite number >= 0, got -1")
    assert done.stderr.count("\n") == 1


def test_a_refused_call_leaves_the_old_file(tmp_path):
    path = tmp_path / "w.npy"
    np.save(path, np.arange(3))
    os.link(path, tmp_path / "second")  # which is written in place, by a copy
    assert cli.run(["init", "normal", "--shape", "3", "-p", "std=-1", "--force", "-o", str(path)]) == 2
    np.testing.assert_array_equal(np.load(path), np.arange(3))


# (the command, the file it writes): more than a disk of 64 KiB takes.
WRITERS = [
    (["init", "normal", "--shape", "200,200", "-o"], "w.npy"),
    (["init", "normal", "--shape", "1,40000", "-o"], "w.npy"),
    (["probe", "--depth", "2", "--width", "8", "--batch", "8", "--bins", "20000", "--save"], "p.json"),
    (["probe", "--depth", "2", "--width", "8", "--batch", "8", "--plot"], "p.png"),
]


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(("words", "name"), WRITERS, ids=lambda x: x[0] if isinstance(x, list) else x)
def test_a_full_disk_is_one_line_and_leaves_what_was_there(small_disk, capsys, words, name, existing):
    path = small_disk / name
    if existing:
        path.write_bytes(b"old")
    assert cli.run([*words, str(path), "--force", "--quiet"]) == 2
    assert capsys.readouterr().err == f"error: [Errno 28] No space left on device: '{path}'\n"
    assert [(file.name, file.read_bytes()) for file in small_disk.iterdir()] == [(name, b"old")] * existing


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_of_files_sizes_is_one_line_and_leaves_what_was_there(tmp_path):
    import resource

    path = tmp_path / "w.npy"
    path.write_bytes(b"old")
    limit = (1 << 16, 1 << 16)
    words = ["init", "normal", "--shape", "200,200", "--force", "-o", path]
    done = fastinit(*words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: [Errno 27] File too large: '{path}'\n"
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("w.npy", b"old")]


def test_a_full_disk_in_the_midst_of_the_demo_leaves_whole_pictures(few, small_disk, capsys):
    assert cli.run(["demo", "-o", str(small_disk / "pictures")]) == 2
    assert "No space left on device: '" in capsys.readouterr().err
    for picture in (small_disk / "pictures").iterdir():
        assert picture.suffix == ".png"
        assert picture.read_bytes().endswith(b"IEND\xaeB`\x82")


ENDED = [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, ""), ("SIGHUP", 129, "")]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "status", "message"), ENDED)
def test_a_signal_that_ends_it_leaves_no_file(tmp_path, name, status, message):
    # Whoever runs the tests may have it ignored, as nohup does.
    default = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    code = default + "from fastinit.cli import main; print('ready', flush=True); main()"
    words = ["init", "normal", "--shape", "100000,100000", "-o", str(tmp_path / "w.npy")]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 60
    while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert errors.strip() == message
    assert list(tmp_path.iterdir()) == []


AMID_GARBAGE = """
import gc, signal, sys
from fastinit.cli import main

def send(phase, info, sent=[]):
    if not sent and callable(signal.getsignal(signal.SIGTERM)):
        sent.append(phase)
        signal.raise_signal(getattr(signal, sys.argv[1]))

gc.callbacks.append(send)
main(sys.argv[2:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_amid_a_collection_of_garbage_is_not_lost(tmp_path, name, status):
    words = [name, "init", "normal", "--shape", "100000,100000", "-o", str(tmp_path / "w.npy")]
    done = subprocess.run([sys.executable, "-c", AMID_GARBAGE, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_typer_or_rich_it_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from fastinit.cli import main; main(['schemes'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        'the fastinit command needs typer and rich; install them with: pip install "fastinit-kernels[cli]"\n'
    )


def test_the_entry_point_is_installed():
    command = Path(sys.executable).parent / "fastinit"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"fastinit {fi.__version__}"
