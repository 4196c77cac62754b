"""Numbers that definitions fix, for the kernels and for who describes them; loading them loads nothing else."""

# Klambauer et al. 2017, equation 14: the pair for which (mean 0, variance 1) is a fixed point.
SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717

# Hendrycks and Gimpel 2016, section 2.
GELU_CUBIC = 0.044715

# What PyTorch's LayerNorm adds to the variance.
NORM_EPSILON = 1e-5
