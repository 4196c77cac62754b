"""State-space models and linear attention: their decay rates and time steps stay in float32."""

from __future__ import annotations

from typing import Any

from ...words import check_choice
from .laws import TORCH_BIAS, TORCH_WEIGHT, needed, normal, within
from .registry import Rules, preset

_KEPT = {"dtype": "float32"}
_TIME_STEP = {"scheme": "inverse_softplus", "low": "dt_min", "high": "dt_max", "floor": "dt_floor"}
_LIBRARIES = ("mamba_ssm", "transformers")
_HEADS = ["backbone.embedding.weight", "backbone.embeddings.weight"]


def _mamba_rules(library: str, rescale: bool, tied: bool, decay: dict[str, Any]) -> Rules:
    """What both generations have in common."""
    # PyTorch's default, divided after it was drawn.
    divided = within("1 / sqrt(fan_in) / sqrt(residuals * n_layers)", layout="oi")
    output = divided if rescale else TORCH_WEIGHT
    own = check_choice("library", library, _LIBRARIES) == "mamba_ssm"
    linear = TORCH_WEIGHT if own else normal("std")
    layer = "**.layers.{layer}."
    return [
        ("**.{embedding,embeddings}.weight", normal("std")),
        (f"{layer}mixer.{{in_proj,x_proj}}.weight", linear),
        (f"{layer}mixer.{{in_proj,out_proj}}.bias", "zeros"),
        (f"{layer}mixer.conv1d.weight", TORCH_WEIGHT),
        (f"{layer}mixer.conv1d.bias", TORCH_BIAS if own else "zeros"),
        (f"{layer}mixer.A_log", {**decay, **_KEPT}),
        (f"{layer}mixer.D", {"scheme": "ones", **_KEPT}),
        (f"{layer}mixer.out_proj.weight", output),
        (f"{layer}mlp.fc1.weight", TORCH_WEIGHT),
        (f"{layer}mlp.fc2.weight", output),
        ("**.{norm,norm2,norm_f}.weight", "ones"),
        ("**.{norm,norm2,norm_f}.bias", "zeros"),
        ("lm_head.weight", {"tie": _HEADS} if tied else linear),
    ]


@preset(
    "mamba",
    "Mamba: A_log = log(1 … N), time steps from 0.001 to 0.1, outputs / sqrt(n_layers)",
    "mamba_ssm modules/mamba_simple.py:83-114, mixer_seq_simple.py; transformers 5.24 modeling_mamba.py:337-356,542",
)
def _mamba(
    *,
    n_layers: int,
    std: float = 0.02,
    library: str = "mamba_ssm",
    rescale: bool = True,
    residuals: int = 1,
    dt_scale: float = 1.0,
    dt_min: float = 1e-3,
    dt_max: float = 0.1,
    dt_floor: float = 1e-4,
    tied: bool = True,
) -> Rules:
    """`library="transformers"` draws linear layers from N(0, std²), where std is `initializer_range` (0.1).

    `rescale` divides by sqrt(residuals·n_layers): `rescale_prenorm_residual`, which Transformers leaves out by default.
    """
    rank = within("dt_scale / sqrt(shape[1])")
    return [
        *_mamba_rules(library, rescale, tied, {"scheme": "log_arange"}),
        ("**.layers.{layer}.mixer.dt_proj.weight", rank),
        ("**.layers.{layer}.mixer.dt_proj.bias", {**_TIME_STEP, **_KEPT}),
    ]


@preset(
    "mamba2",
    "Mamba-2: A_log = log U(1, 16), time steps from 0.001 to 0.1, outputs / sqrt(n_layers)",
    "mamba_ssm modules/mamba2.py:121-139; transformers 5.24 modeling_mamba2.py:444-457,662-687",
)
def _mamba2(
    *,
    n_layers: int,
    std: float = 0.02,
    library: str = "mamba_ssm",
    rescale: bool = True,
    residuals: int = 1,
    dt_min: float = 1e-3,
    dt_max: float = 0.1,
    dt_floor: float = 1e-4,
    tied: bool = True,
) -> Rules:
    """`library="transformers"` has A_log = log(1 … heads), and linear layers from N(0, std²)."""
    drawn = {"scheme": "log_of_uniform", "low": 1.0, "high": 16.0}
    return [
        *_mamba_rules(library, rescale, tied, drawn if library == "mamba_ssm" else {"scheme": "log_arange"}),
        ("**.layers.{layer}.mixer.dt_bias", {**_TIME_STEP, **_KEPT}),
    ]


_PRENORM = ("none", "rescale", "zero")


@preset(
    "gated_deltanet",
    "Gated DeltaNet of flash-linear-attention: A_log = log U(0, 16), time steps from 0.001 to 0.1",
    "fla models/gated_deltanet/modeling_gated_deltanet.py:186-242, layers/gated_deltanet.py",
)
def _gated_deltanet(
    *,
    std: float = 0.02,
    prenorm: str = "none",
    n_layers: int | None = None,
    dt_min: float = 1e-3,
    dt_max: float = 0.1,
    dt_floor: float = 1e-4,
    tied: bool = False,
) -> Rules:
    """`prenorm` is the project's strategy for o_proj and down_proj: "none", "rescale" (/ sqrt(2 n_layers)), "zero"."""
    check_choice("prenorm", prenorm, _PRENORM)
    if prenorm == "rescale":
        needed("n_layers", n_layers, "prenorm 'rescale'")
    rescaled = within("1 / sqrt(fan_in) / sqrt(2 * n_layers)", layout="oi")
    output = {"none": normal("std"), "rescale": rescaled, "zero": "zeros"}[prenorm]
    layer = "**.layers.{layer}."
    return [
        ("**.embeddings.weight", normal("std")),
        (f"{layer}attn.{{q_proj,k_proj,v_proj,a_proj,b_proj,g_proj,q_conv1d,k_conv1d,v_conv1d}}.weight", normal("std")),
        (f"{layer}mlp.{{gate_proj,up_proj}}.weight", normal("std")),
        (f"{layer}{{attn.o_proj,mlp.down_proj}}.weight", output),
        (f"{layer}attn.A_log", {"scheme": "log_of_uniform", "low": 0.0, "high": 16.0, **_KEPT}),
        (f"{layer}attn.dt_bias", {**_TIME_STEP, **_KEPT}),
        ("**norm.weight", {"ndim": 1, "scheme": "ones"}),
        ("**.bias", {"ndim": 1, "scheme": "zeros"}),
        ("lm_head.weight", {"tie": "model.embeddings.weight"} if tied else normal("std")),
    ]


def _ramp(offset: float | str, slope: float | str, power: float | str = 1.0, **more: Any) -> dict[str, Any]:
    """Offset + slope·(i/(n - 1))^power along the channels."""
    return {"scheme": "power_ramp", "offset": offset, "slope": slope, "power": power, **more}


@preset(
    "rwkv7",
    "RWKV-7: orthogonal matrices, ramps along channels and depth",
    "RWKV-LM RWKV-v7/train_temp/src/model.py:505-570,690-715,892-957",
)
def _rwkv7(*, n_layers: int, head_size: int = 64) -> Rules:
    """Embedding U(±1e-4), head orthogonal with gain 0.5 sqrt(V/D), outputs 0."""
    orthogonal = {"scheme": "orthogonal", "layout": "oi"}
    late, early = "(layer / max(n_layers - 1, 1))", "(1 - layer / n_layers)"
    zigzag = {"period": "head_size"}
    # 1 - (i/n)^p: how much of the last token each channel takes.
    shift = {
        "{x_r,x_g}": f"0.2 * {early}",
        "{x_w,x_a}": f"0.9 * {early}",
        "{x_k,x_v}": f"0.7 * {early}",
    }
    att, ffn = "**.blocks.{layer}.att.", "**.blocks.{layer}.ffn."
    return [
        ("**.emb.weight", within(1e-4)),
        ("**.head.weight", {**orthogonal, "gain": "0.5 * sqrt(max(shape[0] / shape[1], 1))"}),
        *[(att + names, _ramp(1.0, -1.0, by, endpoint=False)) for names, by in shift.items()],
        (f"{att}w0", _ramp(-5.5, 6.0, f"1 + {late} ** 0.3", zigzag=2.5, **zigzag)),
        (f"{att}a0", _ramp(-0.39, 0.4, zigzag=0.3, **zigzag)),
        (f"{att}v0", _ramp(0.93, -0.4)),
        (f"{att}k_k", _ramp(0.76, -0.1)),
        (f"{att}k_a", {"scheme": "constant", "value": 1.02}),
        (f"{att}r_k", {"scheme": "constant", "value": -0.04}),
        (f"{att}{{w1,a1,v1,g1}}", "zeros"),
        (f"{att}{{w2,a2,v2,g2}}", {**orthogonal, "gain": "0.1 * sqrt(max(shape[0] / shape[1], 1))"}),
        (f"{att}{{receptance,value}}.weight", orthogonal),
        (f"{att}key.weight", {**orthogonal, "gain": 0.1}),
        (f"{att}output.weight", "zeros"),
        (f"{att}ln_x.weight", {"scheme": "constant", "value": "((layer + 1) / n_layers) ** 0.7"}),
        (f"{att}ln_x.bias", "zeros"),
        (f"{ffn}x_k", _ramp(1.0, -1.0, f"{early} ** 4", endpoint=False)),
        (f"{ffn}key.weight", orthogonal),
        (f"{ffn}value.weight", "zeros"),
        ("**.{ln0,ln1,ln2,ln_out}.weight", "ones"),
        ("**.{ln0,ln1,ln2,ln_out}.bias", "zeros"),
    ]
