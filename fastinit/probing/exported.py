"""What results are handed on as: tables in CSV and Parquet, runs of Weights & Biases and of TensorBoard."""

from __future__ import annotations

import csv
import io
import math
import os
from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole

from ..files import path_name, replacing
from ..words import attribute, check_string, needs, plain_string, shown
from .figures import FIGURES


class Tabular:
    """A result that is a table: `_columns` gives name -> values."""

    def _columns(self) -> dict[str, Any]:
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """Return a tidy data frame: of a probe a row a layer, of a sweep a row a point and layer."""
        with needs("pandas", extra="data"):
            import pandas
        with whole:  # the first frame loads more of pandas
            return pandas.DataFrame(self._columns())

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows of `to_pandas` as CSV, in UTF-8; NaN is an empty cell. The file appears whole or not at all.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        columns = self._columns()
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(map(_cell, values) for values in columns.values()), strict=True))
        with replacing(path) as file:
            file.write(text.getvalue().encode())

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the rows of `to_pandas` as Parquet. The file appears whole or not at all.

        Raises
        ------
        ImportError
            pyarrow is not installed.
        OSError
            The file cannot be written.
        """
        path_name(path)
        with needs("pyarrow", extra="parquet"):
            import pyarrow
            import pyarrow.parquet
        columns = {name: _uniform(values) for name, values in self._columns().items()}
        content = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), content)
        with replacing(path) as file:
            file.write(content.getbuffer())


class Tracked:
    """A result with figures and histograms of layers, for the tools that follow runs."""

    def to_wandb(self, run: Any, *, prefix: str = "fastinit") -> None:
        """Log every figure and the histograms to a run of Weights & Biases, layer by layer.

        Parameters
        ----------
        run
            What `wandb.init` returns.
        prefix
            Begins the names: "fastinit/std", "fastinit/activations" over "fastinit/layer".

        Raises
        ------
        ImportError
            wandb is not installed.
        TypeError
            `run` is no run.
        """
        for method in ("log", "define_metric"):
            _check_method("run", run, method, "a run of wandb")
        begin = check_string("prefix", prefix)
        with needs("wandb", extra="wandb"):
            from wandb import Histogram
        run.define_metric(f"{begin}/*", step_metric=f"{begin}/layer")
        result: Any = self
        for layer in range(result.depth):
            values = {f"{begin}/{name}": value for name, value in _figures(self, layer).items()}
            counts = result.histogram[layer]
            if counts.sum():
                values[f"{begin}/activations"] = Histogram(np_histogram=(counts, result.bin_edges[layer]))
            run.log({f"{begin}/layer": layer, **values})

    def to_tensorboard(self, writer: Any, *, prefix: str = "fastinit") -> None:
        """Write every figure and the histograms to TensorBoard; a layer is a step.

        Parameters
        ----------
        writer
            A `SummaryWriter` (of torch.utils.tensorboard or tensorboardX), or the folder of a run, for which torch and
            tensorboard must be installed.
        prefix
            Begins the tags: "fastinit/std", "fastinit/activations".

        Raises
        ------
        ImportError
            torch or tensorboard is not installed, and a folder was given.
        TypeError
            `writer` is neither.
        """
        begin = check_string("prefix", prefix)
        if plain_string(writer) is not None or isinstance(writer, os.PathLike):
            folder = path_name(writer)
            with needs("torch and tensorboard", extra="tensorboard"):
                from torch.utils.tensorboard import SummaryWriter
            with SummaryWriter(folder) as opened:
                self.to_tensorboard(opened, prefix=begin)
            return
        for method in ("add_scalar", "add_histogram_raw"):
            _check_method("writer", writer, method, "a SummaryWriter or a folder")
        result: Any = self
        for layer in range(result.depth):
            for name, value in _figures(self, layer).items():
                writer.add_scalar(f"{begin}/{name}", value, layer)
            if result.histogram[layer].sum():
                writer.add_histogram_raw(f"{begin}/activations", global_step=layer, **_buckets(self, layer))


def _figures(result: Any, layer: int) -> dict[str, float]:
    """Return the figures that a layer has."""
    found = {name: getattr(result, name, None) for name in FIGURES}
    values = {name: float(array[layer]) for name, array in found.items() if array is not None}
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _buckets(result: Any, layer: int) -> dict[str, Any]:
    """Return a histogram as TensorBoard has it: the sums are of the bins' middles."""
    counts, edges = result.histogram[layer], result.bin_edges[layer]
    middles = (edges[:-1] + edges[1:]) / 2
    with np.errstate(over="ignore"):
        squares = float(np.dot(counts, middles * middles))
    return {
        "min": float(edges[0]), "max": float(edges[-1]), "num": int(counts.sum()),
        "sum": float(np.dot(counts, middles)), "sum_squares": squares,
        "bucket_limits": edges[1:].tolist(), "bucket_counts": counts.tolist(),
    }  # fmt: skip


def _check_method(argument: str, value: Any, method: str, what: str) -> None:
    if not callable(attribute(value, method)):
        raise TypeError(f"argument '{argument}' must be {what}, got {shown(value)}")


def _cell(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return "" if isinstance(plain, float) and math.isnan(plain) else plain


def _uniform(values: Any) -> Any:
    """Return a column of one type: words where its values have several."""
    if isinstance(values, np.ndarray):
        return values
    kinds = {type(value) for value in values}
    if kinds <= {int, float} and kinds:
        return [float(value) for value in values] if float in kinds else list(values)
    return [None if value is None else str(value) for value in values]
