"""What the rules of presets have in common: laws in the words of a plan."""

from __future__ import annotations

from typing import Any

from ...words import shown

Number = float | str


def normal(std: Number, **more: Any) -> dict[str, Any]:
    """N(0, std²)."""
    return {"scheme": "normal", "std": std, **more}


def within(bound: Number, **more: Any) -> dict[str, Any]:
    """U(-bound, bound)."""
    return {"scheme": "uniform", "low": f"-({bound})", "high": bound, **more}


def truncated(std: Number, bound: Number, **more: Any) -> dict[str, Any]:
    """N(0, std²) between -bound·std and bound·std, narrower than std by what is cut off."""
    return {"scheme": "truncated_normal", "std": std, "lower": f"-({bound})", "upper": bound, **more}


def torch_truncated(std: Number, **more: Any) -> dict[str, Any]:
    """PyTorch's `trunc_normal_` with the bounds that it has by default: -2 and 2, whatever the std."""
    return truncated(std, f"2 / ({std})", **more)


# PyTorch's default of a linear layer or convolution, kaiming_uniform(a=sqrt(5)), and of its bias.
TORCH_WEIGHT = within("1 / sqrt(fan_in)", layout="oi")
TORCH_BIAS = within("1 / sqrt(fan_in)", fans_of="{parent}.weight")
XAVIER = {"scheme": "xavier_uniform", "layout": "oi"}


def needed(word: str, value: object, by: str) -> None:
    """Raise where a variable is missing that only some words ask for."""
    if value is None:
        raise ValueError(f"argument {word!r} must be given for {by}, got {shown(value)}")
