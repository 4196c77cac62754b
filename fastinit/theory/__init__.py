r"""Mean-field theory: what an infinitely wide network does to the size and the likeness of its signals.

A layer draws its weights from N(0, sigma_w^2 / n_in) and its biases from N(0, sigma_b^2). In the limit of
wide layers the preactivations z of a layer are Gaussian with variance q, and those of two inputs have a
correlation c:

.. math::
    q_l &= \sigma_w^2 E[\varphi(\sqrt{q_{l-1}} z)^2] + \sigma_b^2 \\
    q_l c_l &= \sigma_w^2 E[\varphi(u) \varphi(v)] + \sigma_b^2,
        \quad u, v \sim N(0, q_{l-1}) \text{ with correlation } c_{l-1}

Both expectations are computed to about rounding error, also for a function of one's own (see :func:`fastinit.gain`);
what depends on its derivative, if that is not given, to about ten digits. sigmas and variances may have any size: what
is no float comes out as inf or 0, what is not defined as NaN.

References
----------
Poole, Lahiri, Raghu, Sohl-Dickstein, Ganguli 2016, "Exponential expressivity in deep neural networks
through transient chaos", sections 2 and 3. Schoenholz, Gilmer, Ganguli, Sohl-Dickstein 2017, "Deep
information propagation", sections 3 and 4. Hayou, Doucet, Rousseau 2019, "On the impact of the activation
function on deep neural networks training". Roberts, Yaida, Hanin 2022, "The Principles of Deep Learning Theory",
chapter 5, tell where a critical signal stays. Cho and Saul 2009 have the closed form for ReLU, the arc-cosine kernel.
"""

from .critical import CriticalPoint, critical_points, edge_of_chaos
from .curvature import Curvature, chi2, curvature_map
from .finite import FiniteWidth, finite_width
from .fixedpoints import FixedPoint, Stability, fixed_point, fixed_points
from .maps import DepthScales, chi1, correlation_map, depth_scales, variance_map
from .moments import Moments, moments
from .prediction import Prediction, predict

__all__ = [
    "CriticalPoint", "Curvature", "DepthScales", "FiniteWidth", "FixedPoint", "Moments", "Prediction", "Stability",
    "chi1", "chi2", "correlation_map", "critical_points", "curvature_map", "depth_scales", "edge_of_chaos",
    "finite_width", "fixed_point", "fixed_points", "moments", "predict", "variance_map",
]  # fmt: skip
