"""Images: vision transformers, diffusion transformers, residual networks."""

from __future__ import annotations

from typing import Any

from ...words import check_choice
from .laws import TORCH_BIAS, TORCH_WEIGHT, XAVIER, needed, normal, torch_truncated, within
from .registry import Rules, preset

_VIT = ("timm", "jax", "jax_nlhb", "moco")


@preset(
    "vit",
    "Vision transformers by timm's four methods",
    "timm vision_transformer.py:940-980,1355-1429",
)
def _vit(
    *, method: str = "timm", n_classes: int | None = None, layer_scale: float = 1e-5, fix_init: bool = False
) -> Rules:
    """Methods "timm" (truncated normal, std 0.02), "jax" (Xavier), "jax_nlhb" (head bias -log(n_classes)), "moco".

    `fix_init` divides the outputs of residual branches by sqrt(2(layer + 1)).
    """
    method = check_choice("method", method, _VIT)
    if method == "jax_nlhb":
        needed("n_classes", n_classes, "method 'jax_nlhb'")
    by_jax = method.startswith("jax")
    linear = torch_truncated(0.02) if method == "timm" else XAVIER
    # Xavier's rule with the fan_out of q, k and v by themselves.
    packed = within("sqrt(6 / (fan_in + fan_out // 3))", layout="oi") if method == "moco" else linear
    head_bias = {"scheme": "constant", "value": "-log(n_classes)"} if method == "jax_nlhb" else "zeros"
    return [
        ("pos_embed", torch_truncated(0.02)),
        ("{cls_token,reg_token}", normal(1e-6)),
        (
            "patch_embed.proj.weight",
            {"scheme": "lecun_normal", "truncated": True, "layout": "oi"} if by_jax else TORCH_WEIGHT,
        ),
        ("patch_embed.proj.bias", "zeros" if by_jax else TORCH_BIAS),
        ("blocks.{layer}.attn.qkv.weight", packed),
        ("blocks.{layer}.attn.{qkv,proj}.bias", "zeros"),
        ("blocks.{layer}.mlp.fc1.weight", linear),
        ("blocks.{layer}.{attn.proj,mlp.fc2}.weight", _fixed(linear) if fix_init else linear),
        ("blocks.{layer}.mlp.{fc1,fc2}.bias", normal(1e-6) if by_jax else "zeros"),
        ("**.{norm,norm1,norm2,q_norm,k_norm,norm_pre,fc_norm}.weight", "ones"),
        ("**.{norm,norm1,norm2,q_norm,k_norm,norm_pre,fc_norm}.bias", "zeros"),
        ("blocks.{layer}.{ls1,ls2}.gamma", {"scheme": "constant", "value": "layer_scale"}),
        ("head.weight", "zeros" if by_jax else linear),
        ("head.bias", head_bias),
    ]


def _fixed(law: dict[str, Any]) -> dict[str, Any]:
    """Return a law of a residual branch's output, divided after it was drawn."""
    by = "1 / sqrt(2 * (layer + 1))"
    if law["scheme"] == "xavier_uniform":
        return {**law, "gain": by}
    bound = f"2 / ({law['std']})"  # the bounds shrink with it
    return {**law, "std": f"{law['std']} * {by}", "lower": f"-({bound})", "upper": bound}


@preset("dit", "DiT: Xavier, zero modulation and output", "DiT models.py:182-216")
def _dit() -> Rules:
    """Patches as a linear layer, embeddings N(0, 0.02²), tables of sines for positions."""
    block = "**.blocks.{layer}."
    return [
        ("**.pos_embed", {"scheme": "sinusoids", "columns": "round(sqrt(shape[-2]))"}),
        ("**.x_embedder.proj.weight", {**XAVIER, "layout": "oiii"}),
        ("**.y_embedder.embedding_table.weight", normal(0.02)),
        ("**.t_embedder.mlp.{0,2}.weight", normal(0.02)),
        (f"{block}{{attn.qkv,attn.proj,mlp.fc1,mlp.fc2}}.weight", XAVIER),
        (f"{block}adaLN_modulation.1.weight", "zeros"),
        ("**.final_layer.{adaLN_modulation.1,linear}.weight", "zeros"),
        ("**.bias", "zeros"),
    ]


@preset(
    "resnet",
    "Residual networks: He's normal by fan_out, PyTorch's head",
    "torchvision models/resnet.py:208-223, timm resnet.py",
)
def _resnet(*, zero_init_last: bool = False, last: str = "bn3") -> Rules:
    """Names of torchvision and timm; `zero_init_last` (timm's default) zeroes the norm that ends a block.

    That is `last="bn3"` of bottlenecks, "bn2" of basic blocks.
    """
    last = check_choice("last", last, ("bn2", "bn3"))
    inner = [name for name in ("bn1", "bn2", "bn3") if not (zero_init_last and name == last)]
    others = ["downsample.1", "downsample.2", "conv1.1", "conv1.4"]  # the last two of a deep stem
    norms, words = ",".join(["bn1", "bn2", "bn3", *others]), ",".join([*inner, *others])
    convolution = {"scheme": "he_normal", "mode": "fan_out", "nonlinearity": "relu", "layout": "oi"}
    zeroed: Rules = [(f"layer{{stage}}.{{block}}.{last}.weight", "zeros")] if zero_init_last else []
    return [
        ("**.weight", {"ndim": 4, **convolution}),
        (f"**.{{{words}}}.weight", {"ndim": 1, "scheme": "ones"}),
        *zeroed,
        (f"**.{{{norms}}}.bias", "zeros"),
        (f"**.{{{norms}}}.running_var", "ones"),
        (f"**.{{{norms}}}.{{running_mean,num_batches_tracked}}", "zeros"),
        ("fc.weight", TORCH_WEIGHT),
        ("fc.bias", TORCH_BIAS),
    ]
