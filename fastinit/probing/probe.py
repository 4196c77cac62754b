"""The deep forward probe: what an initialisation does to a network before anyone trains it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..activations import ActivationLike
from ..weights.schemes import SchemeLike
from .layers import Dense
from .measure import measure
from .resolve import resolve
from .result import ProbeResult


def probe(
    *,
    scheme: SchemeLike | Sequence[SchemeLike] = "he_normal",
    activation: ActivationLike | Sequence[ActivationLike] = "relu",
    depth: int = 10,
    width: int = 512,
    batch: int = 1024,
    widths: Sequence[int] | None = None,
    bias: str | float | Sequence[Any] = "zeros",
    sigma_b: float | Sequence[float] = 0.0,
    inputs: Any = None,
    backward: bool = True,
    bins: int = 30,
    range: tuple[float, float] | None = None,
    seed: int | None = 0,
    dtype: str | Sequence[str] = "float32",
    weights: Sequence[Any] | None = None,
    sigma_w: float | Sequence[float | None] | None = None,
    residual: bool = False,
    branch_scale: float | str = 1.0,
    normalize: str | Sequence[str | None] | None = None,
    conv: int | None = None,
    image: int | None = None,
    input_correlation: float | None = None,
    network: Sequence[Dense] | None = None,
    **params: Any,
) -> ProbeResult:
    r"""Send a batch through a freshly initialised network and measure every layer.

    .. math:: z_l = a_{l-1} W_l + b_l, \quad a_l = \varphi(z_l), \quad a_{-1} = \text{input}.

    With `residual`, :math:`a_l = a_{l-1} + s \varphi(z_l)`; with `normalize`, W_l meets the normalised rows of
    :math:`a_{l-1}`; with `conv`, the product is a convolution.

    `scheme`, `activation`, `bias`, `sigma_w`, `sigma_b`, `normalize` and `dtype` say the same of all layers, or are
    lists with one entry for each; `network` says it layer by layer.

    Parameters
    ----------
    scheme
        Name of the scheme of every W_l (see `fastinit.schemes`), or what `get_scheme` or `recommend` returned.
    activation
        Name of phi; or a function of a float compiled with ``@numba.njit``, or a pair
        of such, phi and its derivative (without which it is differentiated numerically).
    depth, width
        Number of layers and units a layer; the input has `width` features, too. Not used where `widths` is
        given.
    batch
        Rows of the input. Not used where `inputs` is given.
    widths
        All sizes from the input's on: [784, 512, 10] are two layers.
    bias
        "zeros", a number (such as 0.01), or a list with one of them, or an array, for each layer.
    sigma_b
        Standard deviation of drawn biases, around `bias` if that is a number.
    inputs
        Array (batch, n_0) of finite numbers, instead of N(0, 1); of a convolution (batch, side, side, n_0).
    backward
        Compute gradients, too, from dL/da_last drawn from N(0, 1).
    bins, range
        Bins of each layer's histogram (at most 2^20, and 2^24 in all layers) and its range. The default range is
        that of the activation, (0, 1) for sigmoid and (-1, 1) for tanh, or else follows the standard deviation
        predicted for the layer. Counts are those of ``numpy.histogram`` with the `bin_edges` of the result; a range
        whose bins the type of the arithmetic cannot tell apart is refused.
    seed
        Seed of every tensor, 0 <= seed < 2^64; None: fresh entropy, found in the result.
    dtype
        "float32", "float64", or "float16" and "bfloat16" for weights rounded to them, computed in float32. A list may
        mix those that are computed in float32.
    weights
        Arrays (n_in, n_out), one a layer, instead of a scheme; of a convolution (k, k, n_in, n_out). Their
        infinities and NaNs are findings, not errors.
    sigma_w
        Short for scheme "normal" with std sigma_w / sqrt(fan_in), the parameter of mean-field theory.
    residual
        Add the input of a layer to its output, where both have the same size.
    branch_scale
        The factor s on phi(z) beside a skip: a number, or "1/sqrt(depth)".
    normalize
        Normalise the rows of a layer's input (of images: each position's channels) before they meet W: "layer"
        takes off the mean and divides by sqrt(variance + 1e-5), "rms" divides by sqrt(mean square + 1e-5); both
        without learned scale and shift.
    conv
        Size k of square kernels, a stack of 2-d convolutions: widths are channels, stride 1, the images keep their
        size, filled up with zeros (of an even kernel the larger half lies below and to the right).
    image
        Pixels along a side of the input images, 16 if not given. Not needed where `inputs` is given.
    input_correlation
        c in [-1, 1]: every second input becomes x' = c x + sqrt(1 - c^2) x', x the one before it, so that the
        `correlation` of the layers can be followed from any start. None: all are independent.
    network
        The layers, each a `fastinit.Dense` with its units and words of its own; what a layer does not say is as the
        arguments here say. The input has `width` features, or those of `inputs`.
    **params
        Parameters of the scheme (std, gain, mode, ...) and of the activation (negative_slope, alpha). Of layers that
        differ, each takes those that its scheme and its activation know.

    Returns
    -------
    ProbeResult
        Arrays with one entry a layer, a verdict and the reason for it.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; raised before anything is drawn.

    Notes
    -----
    The tensors are ordinary named tensors: "layer.{l}.weight" (n_in, n_out), "layer.{l}.bias" (n_out,),
    "input" and "cotangent" (both float32, or float64 with that dtype), l from 0; of a convolution the weights are
    (k, k, n_in, n_out), the other two (batch, side, side, n). So
    ``init(scheme, (n_in, n_out), seed=seed, name="layer.3.weight")`` is what layer 3 used. Overflow and NaN
    inside the network are findings, reported per layer.

    Layer normalisation is that of Ba, Kiros and Hinton 2016, section 3, without mean that of Zhang and Sennrich 2019,
    section 4; the place before the product is that of pre-norm transformers.

    Examples
    --------
    >>> import fastinit as fi
    >>> fi.probe(scheme="normal", std=0.01, activation="tanh", depth=5, width=100).verdict
    'vanishing'
    >>> fi.probe(scheme="xavier_normal", activation="tanh", depth=5, width=100)
    ProbeResult(xavier_normal, tanh, 5 x 100: healthy)
    >>> fi.probe(depth=20, width=64, batch=64, residual=True, branch_scale="1/sqrt(depth)", normalize="layer")
    ProbeResult(he_normal, relu, 20 x 64, residual * 0.2236, layer norm: healthy)
    >>> fi.probe(depth=3, width=16, batch=8, conv=3, image=8)
    ProbeResult(he_normal, relu, 3 x 16, conv 3 x 3 on 8 x 8: healthy)

    A classifier with a linear head, in either way:

    >>> fi.probe(widths=[50, 64, 64, 10], activation=["relu", "relu", "linear"], batch=32)
    ProbeResult(he_normal, 2 relu + linear, 50-64-64-10: healthy)
    >>> fi.probe(network=[fi.Dense(64), fi.Dense(64), fi.Dense(10, activation="linear")], width=50, batch=32)
    ProbeResult(he_normal, 2 relu + linear, 50-64-64-10: healthy)
    """
    words = locals()
    return measure(resolve(words.pop("params") | words))
