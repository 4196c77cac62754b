"""Reports: saved probes and sweeps as one page that needs nothing but itself, and nothing computed again."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..activations import label
from ..files import path_name, replacing
from ..markup import escaped, table
from ..probing.fields import read_json
from ..probing.figures import COLUMNS, FIGURES
from ..probing.result import ProbeResult
from ..probing.swept import SweepResult
from ..probing.verdict import VERDICTS
from ..words import entries, number, shown, tied
from .charts_svg import heat_map, line_chart, ridge
from .heatmap import View, map_of, tick
from .plots import histogram_height, histogram_words, units
from .report_page import page
from .tables import choose, layer_table

# What to do, by the verdict; the reason says where and by how much.
REMEDIES = {
    "healthy": "Nothing: train it.",
    "fading": "Raise the weights' gain a little, or make the network shallower or wider; skips and normalisation help.",
    "growing": "Lower the weights' gain a little, or make the network shallower or wider; normalisation helps.",
    "vanishing": "Take a scheme that is made for the activation (fi.recommend ranks them), or raise the weights' gain.",
    "exploding": "Take a scheme that is made for the activation (fi.recommend ranks them), or lower the weights' gain.",
    "saturated": "Make the weights smaller, or take an activation that does not saturate.",
    "dead": "Draw the biases around 0 and the weights around 0, or take an activation with a slope below 0.",
    "symmetric": "Draw the weights at random: units that start equal stay equal.",
    "nonfinite": "Look for infinities and NaNs in the weights and inputs that were given.",
}
tied("verdict", {"verdict: fastinit/probing/verdict.py": VERDICTS, "remedy: fastinit/showing/report.py": REMEDIES})

_MOST_ROWS, _MOST_POINTS, _MOST_RIDGES = 200, 60, 8
_LINES = {
    "Signal": ("std (the input's rms is 1)", ("preactivation_std", "std"), True),
    "Gradient": ("std (dL/da of the last layer has 1)", ("gradient_std", "weight_gradient_std"), True),
}


def write(paths: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> None:
    """Write a report on saved results: one page that loads nothing, for any screen, light and dark.

    Parameters
    ----------
    paths
        Files that `ProbeResult.save` wrote (.json), stores of sweeps (.jsonl), and folders, of which all such files
        are taken.
    out
        The page to write; it appears whole or not at all.

    Raises
    ------
    ValueError, TypeError
        There is no file, or one is no saved result; names it. Nothing is written then.
    OSError
        A file cannot be read, or the page not be written.
    """
    given = entries(paths, 1 << 16)
    if given is None:
        raise TypeError(f"argument 'paths' must be a list of files and folders, got {shown(paths)}")
    path_name(out)
    files = [file for path in given for file in _files(Path(path_name(path)))]
    if not files:
        raise ValueError(f"argument 'paths' must lead to a .json or .jsonl file, got {shown([str(p) for p in given])}")
    content = html_of([(file.name, _read(file)) for file in files])
    with replacing(out) as file:
        file.write(content.encode())


def html_of(results: Sequence[tuple[str, ProbeResult | SweepResult]]) -> str:
    """Return the page on some results, each with its name."""
    sections, verdicts = [], Counter[str]()
    for name, result in results:
        if isinstance(result, SweepResult):
            sections.append(_sweep_section(name, result))
            verdicts.update(r.verdict for _, r in result)
        else:
            sections.append(_probe_section(name, result))
            verdicts[result.verdict] += 1
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    summary = f"<p>{sum(verdicts.values())} networks before training: {escaped(counts)}.</p>"
    return page("fastinit report", summary, sections)


def remedy(result: ProbeResult) -> str:
    """Return what to do about a verdict, in words, with the call that ranks schemes for this network."""
    words = REMEDIES[result.verdict]
    if result.verdict in ("vanishing", "exploding", "fading", "growing") and result.depth > 1:
        call = f"activation={result.activation!r}, depth={result.depth}"
        call += f", width={result.width}" if result.width else f", widths={list(result.widths)}"
        words += f" fi.recommend({call}) compares schemes for this network."
    return words


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from sorted(file for file in path.iterdir() if file.suffix in (".json", ".jsonl") and file.is_file())


def _read(path: Path) -> ProbeResult | SweepResult:
    with open(path, "rb") as file:
        first = file.readline()
    try:
        entry = read_json(first)
    except ValueError:
        entry = None
    if path.suffix == ".jsonl" or (isinstance(entry, dict) and "fastinit_sweep" in entry):
        return SweepResult.load(path)
    return ProbeResult.load(path)


def _probe_section(name: str, result: ProbeResult) -> str:
    at = choose(result.depth, _MOST_POINTS)
    charts = [
        line_chart(title, {n: (at, getattr(result, n)[at]) for n in names}, unit, logarithmic)
        for title, (unit, names, logarithmic) in _LINES.items()
    ]
    shares = {n.replace("_", " "): (at, 100 * getattr(result, n)[at]) for n, f in FIGURES.items() if f.is_share}
    charts.append(line_chart("Saturated and dead", shares, "share, %", False))
    charts.append(line_chart("Two inputs", {"correlation": (at, result.correlation[at])}, "correlation", False))
    charts.append(_ridge(result))
    layers = layer_table(result, _MOST_ROWS)
    body = table(layers.columns, layers.rows, "Layer by layer", "sortable")
    settings = {n: v for n, v in result.settings().items() if v is not None and v != {}}
    words = ", ".join(f"{n}={label(v) if not isinstance(v, tuple) else list(v)}" for n, v in settings.items())
    return _section(
        f"{name}: {result.title}",
        _findings([(result.verdict, result.reason, remedy(result))]),
        f'<div class="charts">{"".join(charts)}</div>',
        _scroll(body, f"layers of {name}"),
        f"<details><summary>Arguments</summary><p>{escaped(words[:4000])}</p></details>",
    )


def _ridge(result: ProbeResult) -> str:
    at = [k for k in choose(result.depth, _MOST_RIDGES) if result.histogram[k].sum()]
    divisors = units([float(np.abs(result.bin_edges[k]).max()) for k in at], [float(result.std[k]) for k in at])
    rows = []
    for layer, unit in zip(at, divisors, strict=True):
        counts = result.histogram[layer]
        heights = np.minimum(counts / histogram_height(counts), 1.0)
        rows.append((f"layer {layer}, {histogram_words(result, layer)}", heights, result.bin_edges[layer] / unit))
    own = len({*divisors}) > 1
    return ridge("Histograms", rows, "activation, in units of the layer's std" if own else "activation")


def _sweep_section(name: str, sweep: SweepResult) -> str:
    seen: dict[str, ProbeResult] = {}
    counts = Counter(result.verdict for _, result in sweep)
    for _, result in sweep:
        seen.setdefault(result.verdict, result)
    findings = [
        (f"{verdict} ({counts[verdict]})", f"{seen[verdict].title}: {seen[verdict].reason}", remedy(seen[verdict]))
        for verdict in sorted(seen, key=lambda word: -counts[word])
    ]
    missing = len(sweep.results) - len(sweep)
    words = f"{len(sweep)} points" + (f", {missing} not there" if missing else "")
    return _section(
        f"{name}: {words}",
        _findings(findings) if findings else "<p>No point is done.</p>",
        f'<div class="charts">{_maps(sweep)}</div>',
        _scroll(_points(sweep), f"points of {name}"),
    )


def _maps(sweep: SweepResult) -> str:
    """Return heat maps over the first two arguments with several numbers, where nothing else but the seed varies."""
    names = [n for n, v in sweep.grid.items() if len(v) > 1 and n != "seed"]
    numbers = [n for n in names if all(isinstance(v, int | float) for v in sweep.grid[n])]
    if len(numbers) < 2 or not len(sweep):
        return ""
    x, y = numbers[:2]
    rest = [n for n in names if n not in (x, y)]
    charts = []
    combinations = [{n: p[n] for n in rest} for p, _ in sweep]
    for where in list({json.dumps({n: str(label(v)) for n, v in w.items()}): w for w in combinations}.values())[:6]:
        for figure in ("std", "gradient_std", "chi"):
            view = View(figure, x, y, -1)
            words = ", ".join([f"{figure}, last layer", *(f"{n} {label(v)}" for n, v in where.items())])
            axes = [(n, [tick(v) for v in sweep.grid[n]]) for n in (x, y)]
            charts.append(heat_map(words, axes[0], axes[1], map_of(sweep, view, where).values, view.unit))
    return "".join(charts)


def _points(sweep: SweepResult) -> str:
    """Return a row a point: what varies, the verdict, both ends of the signal and of the gradient."""
    names = [name for name, values in sweep.grid.items() if len(values) > 1]
    shown_figures = [name for name in COLUMNS if name in ("std", "gradient_std", "chi", "saturated", "dead")]
    heads = [*names, "verdict", *(f"{FIGURES[n].axis(n)}, {end}" for n in shown_figures for end in ("first", "last"))]
    rows = []
    for point, result in sweep:
        figures = [
            number(float(getattr(result, n)[end]) * FIGURES[n].factor, 3) for n in shown_figures for end in (0, -1)
        ]
        cells = "".join(f"<td>{escaped(cell)}</td>" for cell in [*(tick(point[n]) for n in names)])
        cells += f'<td data-tip="{escaped(result.reason)}">{escaped(result.verdict)}</td>'
        rows.append(f"<tr>{cells}{''.join(f'<td>{escaped(cell)}</td>' for cell in figures)}</tr>")
    head = "".join(f'<th scope="col">{escaped(word)}</th>' for word in heads)
    caption = "<caption>Point by point: point at a verdict for its reason</caption>"
    body = "".join(rows)
    return f'<table class="sortable">{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _findings(findings: Sequence[tuple[str, str, str]]) -> str:
    parts = []
    for verdict, reason, what in findings:
        kind = "good" if verdict.startswith("healthy") else "bad"
        parts.append(f'<dt>Finding</dt><dd class="verdict {kind}">{escaped(verdict)}</dd>')
        parts.append(f"<dt>Reason</dt><dd>{escaped(reason)}</dd><dt>Remedy</dt><dd>{escaped(what)}</dd>")
    return f"<dl>{''.join(parts)}</dl>"


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escaped(title)}</h2>{''.join(parts)}</section>"


def _scroll(content: str, words: str) -> str:
    """Return what may be wider than the screen, in reach of the keyboard."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(words)}">{content}</div>'
