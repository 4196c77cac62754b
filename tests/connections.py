"""Every layer of docs/fans.md by its definition, in NumPy: forwards, and its transpose.

A layer is written by its axes, a letter each: what it reads, its weight and what it gives. `(go)` is one axis of the
weight that holds g times o, g the groups; `k` stands for the kernel's axes. Images are periodic, so that no position
lies at a border. Parts that are packed side by side (g) have inputs, and gradients of them, of their own.
"""

import math
import re
from dataclasses import dataclass, field

import numpy as np

BATCH = 48


@dataclass
class Layer:
    reads: str
    weight: str
    gives: str
    sizes: dict = field(default_factory=dict)
    transposed: bool = False
    stride: int = 1

    @property
    def kernel(self):
        return self.sizes.get("kernel", ())

    @property
    def grid(self):
        """Positions of the finer grid: at least a kernel, a multiple of the stride."""
        return tuple(-(-max(4, size) // self.stride) * self.stride for size in self.kernel)

    def unpacked(self, w, groups):
        """The weight with its taps first and an axis for each letter, and the letters' sizes."""
        rest, shape, letters = iter(w.shape), [], []
        for axis in re.findall(r"\(\w+\)|\w", self.weight):
            names = ["k"] * len(self.kernel) if axis == "k" else list(axis.strip("()"))
            if axis == "k":
                shape += [next(rest) for _ in names]
            elif len(names) == 1:
                shape.append(next(rest))
            else:
                packed = next(rest)
                shape += [groups if name == "g" else packed // groups for name in names]
            letters += names
        assert math.prod(shape) == w.size
        taps = [a for a, name in enumerate(letters) if name == "k"]
        other = [a for a, name in enumerate(letters) if name != "k"]
        assert tuple(shape[a] for a in taps) == self.kernel
        names = "".join(letters[a] for a in other)
        return w.reshape(shape).transpose(taps + other), names, dict(zip(names, (shape[a] for a in other), strict=True))

    def counts(self, shape, groups, forward):
        """The connections of each output, or of each input: what ones give."""
        return self.run(np.ones(shape), np.ones, groups, forward)

    def run(self, w, draw, groups, forward):
        """The layer's outputs of `draw`n inputs, or the gradient of its inputs of drawn ones of its outputs."""
        w, names, sizes = self.unpacked(w, groups)
        reads, gives = (self.reads, self.gives) if forward else (self.gives, self.reads)
        fine, batch = self.grid, BATCH // 4 ** max(0, len(self.kernel) - 1)
        coarse = tuple(n // self.stride for n in fine)
        convolves = forward != self.transposed
        x = draw((batch, *(fine if convolves else coarse), *(sizes[c] for c in reads)))
        axes = tuple(range(1, 1 + len(fine)))
        steps = (slice(None), *(slice(None, None, self.stride) for _ in fine))
        z = np.zeros((batch, *(coarse if convolves else fine), *(sizes[c] for c in gives)))
        for tap in np.ndindex(self.kernel):
            equation = f"...{reads},{names}->...{gives}"
            if convolves:
                seen = np.roll(x, [-t for t in tap], axes)[steps]
                z += np.einsum(equation, seen, w[tap], optimize=True)
            else:
                spread = np.zeros_like(z)
                spread[steps] = np.einsum(equation, x, w[tap], optimize=True)
                z += np.roll(spread, tap, axes)
        return z.reshape(-1, math.prod(sizes[c] for c in gives))


class Bilinear(Layer):
    """z_o = x W_o y; the gradient is that of x."""

    def run(self, w, draw, groups, forward):
        y = draw((BATCH + 1, w.shape[2]))[1:]
        if forward:
            return np.einsum("bi,oij,bj->bo", draw((BATCH, w.shape[1])), w, y, optimize=True)
        return np.einsum("bo,oij,bj->bi", draw((BATCH, w.shape[0])), w, y, optimize=True)


@dataclass
class Lookup(Layer):
    """The sum or the mean of `count` rows, no row twice: weights that no two outputs share."""

    count: int = 1
    mean: bool = False

    def counts(self, shape, groups, forward):
        # In a mean each connection has weight 1/count, and its square counts.
        sums = self.run(np.ones(shape), None, groups, forward)
        return sums / self.count if self.mean else sums

    def run(self, w, draw, groups, forward):
        rows = w.reshape(-1, self.count, w.shape[1]).sum(1)
        return (rows / self.count if self.mean else rows).reshape(1, -1)


class Local(Layer):
    """A kernel of its own at each position of the output."""

    def run(self, w, draw, groups, forward):
        (height, width, _, out), stride = w.shape, self.stride
        w = w.reshape(height, width, *self.kernel, -1, out)
        fine = (height * stride, width * stride)
        x = draw((BATCH, *(fine if forward else (height, width)), w.shape[4] if forward else out))
        z = np.zeros((BATCH, *((height, width) if forward else fine), out if forward else w.shape[4]))
        for a, b in np.ndindex(self.kernel):
            if forward:
                seen = np.roll(x, (-a, -b), (1, 2))[:, ::stride, ::stride]
                z += np.einsum("bpqi,pqio->bpqo", seen, w[:, :, a, b], optimize=True)
            else:
                spread = np.zeros_like(z)
                spread[:, ::stride, ::stride] = np.einsum("bpqo,pqio->bpqi", x, w[:, :, a, b], optimize=True)
                z += np.roll(spread, (a, b), (1, 2))
        return z.reshape(BATCH, -1)


KERNELS = ((3,), (3, 2), (2, 3, 2))


def dense(reads, weight, gives, **sizes):
    return [Layer(reads, weight, gives, sizes)]


def gated(reads, weight, gives, gates=(1, 4, 3), **sizes):
    return [Layer(reads, weight, gives, {"gates": n, "groups": n, **sizes}) for n in gates]


def convolutions(reads, weight, gives, *, kernels=KERNELS, transposed=False, strides=(1, 2), **sizes):
    return [
        Layer(reads, weight, gives, {"kernel": kernel, "stride": stride, **sizes}, transposed, stride)
        for kernel in kernels
        for stride in strides
    ]


def depthwise(weight, kernel, **sizes):
    return convolutions("b", weight, "bo", kernels=[kernel], **sizes)


TORCH_GATES = "RNN, LSTM, GRU, their cells"
KERAS_GATES = "SimpleRNN, LSTM, GRU, their cells"
KERAS_ATTENTION = "MultiHeadAttention, GroupedQueryAttention"
KERAS_CONV_LSTM = "ConvLSTM1D, ConvLSTM2D, ConvLSTM3D"
FLAX_ATTENTION = "Flax MultiHeadDotProductAttention, MultiHeadAttention"
LOOKUP = [Lookup("", "", "")]
# A stride beyond the kernel: some positions have no connections at all.
SPARSE = {"kernels": [(2,)], "strides": (3,), "inputs": 96, "outputs": 96}

# (section, layer, weight) of the page
LAYERS = {
    ("PyTorch", "Linear, AdaptiveLogSoftmaxWithLoss", "weight"): dense("i", "oi", "o"),
    ("PyTorch", "Bilinear", "weight"): [Bilinear("", "", "")],
    ("PyTorch", "Conv1d, Conv2d, Conv3d", "weight"): [
        *convolutions("gi", "(go)ik", "go"),
        *convolutions("gi", "(go)ik", "go", **SPARSE),
    ],
    ("PyTorch", "the same, depthwise", "weight"): convolutions("gi", "(go)ik", "go", inputs=240, groups=240),
    ("PyTorch", "ConvTranspose1d, ConvTranspose2d, ConvTranspose3d", "weight"): [
        *convolutions("gi", "(gi)ok", "go", transposed=True),
        *convolutions("gi", "(gi)ok", "go", transposed=True, **SPARSE),
    ],
    ("PyTorch", TORCH_GATES, "weight_ih"): gated("gi", "(go)i", "go"),
    ("PyTorch", TORCH_GATES, "weight_hh"): [
        *gated("gi", "(go)i", "go", state=64),
        *gated("gi", "(go)i", "go", gates=(4,), state=60),
    ],
    ("PyTorch", "LSTM with proj_size", "weight_hr"): dense("i", "oi", "o"),
    ("PyTorch", "MultiheadAttention", "in_proj_weight"): dense("gi", "(go)i", "go", groups=3),
    ("PyTorch", "MultiheadAttention", "q_proj_weight, k_proj_weight, v_proj_weight, out_proj.weight"): dense(
        "i", "oi", "o"
    ),
    ("PyTorch", "Embedding, EmbeddingBag of one row", "weight"): LOOKUP,
    ("PyTorch", "EmbeddingBag, sum of count rows", "weight"): [Lookup("", "", "", {"rows": 400}, count=8)],
    ("PyTorch", "EmbeddingBag, mean of count rows", "weight"): [Lookup("", "", "", {"rows": 400}, count=8, mean=True)],
    ("PyTorch", "an embedding tied to the output head", "weight"): dense("i", "oi", "o"),
    ("PyTorch", "fused gate and up projection", "weight"): dense("gi", "(go)i", "go", groups=2),
    ("PyTorch", "experts", "down_proj"): dense("ei", "eoi", "eo"),
    ("PyTorch", "experts, gate and up fused", "gate_up_proj"): dense("egi", "e(go)i", "ego", groups=2),
    ("PyTorch", "GPT-2's Conv1D", "weight"): dense("i", "io", "o"),
    ("PyTorch", "GPT-2's c_attn", "weight"): dense("gi", "i(go)", "go", groups=3),
    ("Keras 3", "Dense", "kernel"): dense("i", "io", "o"),
    ("Keras 3", 'EinsumDense("ab,bcd->acd")', "kernel"): dense("b", "bcd", "cd"),
    ("Keras 3", 'EinsumDense("acd,cde->ae")', "kernel"): dense("cd", "cde", "e"),
    ("Keras 3", 'EinsumDense("acd,cde->ace")', "kernel"): dense("cd", "cde", "ce"),
    ("Keras 3", "Conv1D, Conv2D, Conv3D", "kernel"): convolutions("gi", "ki(go)", "go"),
    ("Keras 3", "DepthwiseConv1D, SeparableConv1D", "depthwise_kernel"): depthwise("kbo", (3,), inputs=240),
    ("Keras 3", "DepthwiseConv2D, SeparableConv2D", "depthwise_kernel"): depthwise("kbo", (3, 3), inputs=240),
    ("Keras 3", "SeparableConv1D", "pointwise_kernel"): convolutions("i", "kio", "o", kernels=[(1,)], strides=(1,)),
    ("Keras 3", "SeparableConv2D", "pointwise_kernel"): convolutions("i", "kio", "o", kernels=[(1, 1)], strides=(1,)),
    ("Keras 3", "Conv1DTranspose, Conv2DTranspose, Conv3DTranspose", "kernel"): convolutions(
        "i", "koi", "o", transposed=True
    ),
    ("Keras 3", KERAS_ATTENTION, "query/kernel, key/kernel, value/kernel"): dense("d", "dnh", "nh"),
    ("Keras 3", KERAS_ATTENTION, "attention_output/kernel"): dense("nh", "nhd", "d"),
    ("Keras 3", KERAS_GATES, "kernel"): gated("gi", "i(go)", "go"),
    ("Keras 3", KERAS_GATES, "recurrent_kernel"): gated("gi", "i(go)", "go"),
    ("Keras 3", KERAS_CONV_LSTM, "kernel"): convolutions("gi", "ki(go)", "go"),
    ("Keras 3", KERAS_CONV_LSTM, "recurrent_kernel"): convolutions("gi", "ki(go)", "go", strides=(1,)),
    ("Keras 3", "Embedding, ReversibleEmbedding", "embeddings"): LOOKUP,
    ("JAX", "Flax Dense, Linear", "kernel"): dense("i", "io", "o"),
    ("JAX", "Flax DenseGeneral, LinearGeneral, features (heads, head_dim)", "kernel"): dense("i", "inh", "nh"),
    ("JAX", "Flax DenseGeneral, LinearGeneral, axis=(-2, -1)", "kernel"): dense("nh", "nho", "o"),
    ("JAX", "Flax DenseGeneral, LinearGeneral, batch_dims=(0,)", "kernel"): dense("bi", "bio", "bo"),
    ("JAX", 'Flax Einsum, "nta,hab->nthb"', "kernel"): dense("a", "hab", "hb"),
    ("JAX", "Flax Conv", "kernel"): convolutions("gi", "ki(go)", "go"),
    ("JAX", "Flax ConvTranspose", "kernel"): convolutions("i", "kio", "o", transposed=True),
    ("JAX", "Flax ConvTranspose, transpose_kernel=True", "kernel"): convolutions("i", "koi", "o", transposed=True),
    ("JAX", "Flax ConvLocal", "kernel"): [
        Local("", "", "", {"kernel": (3, 2), "stride": stride, "rows": 6, "inputs": 10, "outputs": 12}, stride=stride)
        for stride in (1, 2)
    ],
    ("JAX", "Flax Embed", "embedding"): LOOKUP,
    ("JAX", FLAX_ATTENTION, "query, key, value"): dense("d", "dnh", "nh"),
    ("JAX", FLAX_ATTENTION, "out"): dense("nh", "nhd", "d"),
    ("JAX", "Flax SimpleCell, LSTMCell, GRUCell, MGUCell", "ii, hi, …"): dense("i", "io", "o"),
    ("JAX", "Flax nnx OptimizedLSTMCell, GRUCell", "dense_i, dense_h"): gated("gi", "i(go)", "go", gates=(4, 3)),
    ("JAX", "Flax ConvLSTMCell", "ih, hh"): convolutions("gi", "ki(go)", "go"),
    ("JAX", "Equinox Linear", "weight"): dense("i", "oi", "o"),
    ("JAX", "Equinox Conv", "weight"): convolutions("gi", "(go)ik", "go"),
    ("JAX", "Equinox ConvTranspose", "weight"): convolutions("gi", "(go)ik", "go", transposed=True),
    ("JAX", "Equinox LSTMCell, GRUCell", "weight_ih, weight_hh"): gated("gi", "(go)i", "go", gates=(4, 3)),
    ("JAX", "Equinox Embedding", "weight"): LOOKUP,
    ("JAX", "experts", "wi, wo"): dense("ei", "eio", "eo"),
    ("JAX", "layers stacked for a scan", "kernel"): dense("li", "lio", "lo"),
    ("JAX", "layers stacked on axis 1 (MaxText)", "kernel"): dense("li", "ilo", "lo"),
    ("JAX", "convolutions stacked for a scan", "kernel"): convolutions("li", "lkio", "lo", layers=2),
}
