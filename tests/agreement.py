"""Does a tensor that another library drew follow the law that a plan assigns it? By moments, bounds, or its values."""

import math

import numpy as np
from scipy import stats

# Standard errors that a figure of a correct tensor may be off: one in two millions.
MOST = 5.2


# Laws of an index alone, and those whose sample is held against another one.
TABLES = {"LogArange", "Linspace", "PowerRamp", "Sinusoids"}
COMPARED = {"LogOfUniform", "InverseSoftplus", "LogUniform"}


def kurtosis(law):
    """The fourth moment about the mean in units of the variance; NaN for laws of other kinds."""
    match type(law).__name__:
        case "Uniform":
            return 1.8
        case "Normal":
            return 3.0
        case "TruncatedNormal":
            return 3.0 + float(stats.truncnorm(law.lower, law.upper).stats("k"))
    return math.nan


def check_piece(name, law, values):
    """Fail if the values do not follow the law: mean, standard deviation, kurtosis, bounds."""
    n, kind = values.size, type(law).__name__
    std = math.sqrt(law.variance)
    if kind == "Constant":
        assert (values == np.float32(law.value)).all(), f"{name}: {values[:4]} is not {law.value}"
        return
    k = kurtosis(law)
    wide = 3.0 if math.isnan(k) else k
    mean = law.expectation
    assert abs(values.mean() - mean) <= MOST * std / math.sqrt(n), f"{name}: mean {values.mean()} for {law}"
    spread = math.sqrt(((values - mean) ** 2).mean()) / std
    assert abs(spread - 1) <= MOST * math.sqrt((wide - 1) / (4 * n)) + 2e-6, f"{name}: {spread} of the std of {law}"
    if n >= 2000 and not math.isnan(k):
        fourth = (((values - mean) / std) ** 4).mean()
        error = MOST * math.sqrt((96 if k > 2 else 2.5) / n)
        assert abs(fourth - k) <= error, f"{name}: kurtosis {fourth} for {law}"
    if kind == "Uniform":
        low, high = values.min(), values.max()
        assert np.float32(law.low) <= low, f"{name}: {low} for {law}"
        assert high <= np.float32(law.high) * (1 + 1e-6), f"{name}: {high} for {law}"


def check_values(assignment, values):
    """Fail if a table differs, or a sample is none of the law's, by Kolmogorov and Smirnov."""
    own = np.empty(assignment.shape, np.float32)
    assignment.fill(tuple((0, n) for n in assignment.shape), own, 3)
    if type(assignment.pieces[0].law).__name__ in TABLES:
        np.testing.assert_allclose(values, own, rtol=2e-6, atol=2e-4, err_msg=assignment.name)
    else:
        assert stats.ks_2samp(values.reshape(-1), own.reshape(-1)).pvalue > 1e-6, assignment.name


def check_tensor(assignment, values):
    """Fail if a tensor does not follow what its plan says: each piece, and elements with a value of their own."""
    values = np.asarray(values, np.float64).reshape(assignment.shape)
    if {type(piece.law).__name__ for piece in assignment.pieces} & (TABLES | COMPARED):
        check_values(assignment, values)
        return
    told = np.zeros(assignment.shape, bool)
    for box, value in assignment.sets:
        part = (*(slice(a, a + n) for a, n in box), ...)
        assert (values[part] == np.float32(value)).all(), f"{assignment.name}: not {value}"
        told[part] = True
    for piece in assignment.pieces:
        part = (*(slice(a, a + n) for a, n in piece.box), ...)
        check_piece(piece.name, piece.law, values[part][~told[part]])


def check_module(module, plan):
    """Fail if a parameter of a module has no rule, or does not follow it; return the number of those looked at."""
    parameters = dict(module.named_parameters())
    shapes = {
        name: {"shape": tuple(p.shape), "role": f"{type(module.get_submodule(name.rpartition('.')[0])).__name__}."
               f"{name.rpartition('.')[2]}"}
        for name, p in parameters.items()
    }  # fmt: skip
    found = plan.resolve(shapes)
    looked = [name for name, one in found.items() if one.is_drawn]
    for name in looked:
        check_tensor(found[name], parameters[name].detach().float().numpy())
    return len(looked)
