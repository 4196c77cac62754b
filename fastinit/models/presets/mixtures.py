"""Mixtures of experts: packed experts are drawn as the separate tensors they stand for, routers in float32."""

from __future__ import annotations

from typing import Any

from .laws import normal, torch_truncated, truncated
from .registry import Index, Rules, preset

# Transformers packs what older checkpoints hold as separate tensors of these names.
_GATE_UP = [
    {"name": "{parent}.{expert}.gate_proj.weight"},
    {"name": "{parent}.{expert}.up_proj.weight"},
]
_DOWN = "{parent}.{expert}.down_proj.weight"


def _experts(gate: dict[str, Any], up: dict[str, Any], down: dict[str, Any]) -> Rules:
    """Experts of Transformers, packed and separate: the same bytes."""
    packed = [{**part, **law} for part, law in zip(_GATE_UP, (gate, up), strict=True)]
    experts = "**.layers.{layer}.mlp.experts"
    return [
        (f"{experts}.gate_up_proj", {"stack": "expert", "segments": packed}),
        (f"{experts}.down_proj", {"stack": "expert", "name": _DOWN, **down}),
        (f"{experts}.{{expert}}.gate_proj.weight", gate),
        (f"{experts}.{{expert}}.up_proj.weight", up),
        (f"{experts}.{{expert}}.down_proj.weight", down),
    ]


_NORMS: Rules = [("**norm.weight", {"ndim": 1, "scheme": "ones"}), ("**.bias", {"ndim": 1, "scheme": "zeros"})]


@preset(
    "mixtral",
    "Mixtral: N(0, std²), routers in float32",
    "transformers 5.24 modeling_mixtral.py:388-395, modeling_utils.py:2304-2368",
)
def _mixtral(*, std: float = 0.02, padding_idx: Index | None = None, tied: bool = False) -> Rules:
    """Names of Transformers 5 (packed experts) and of single experts."""
    padded = {} if padding_idx is None else {"set": {"[padding_idx]": 0}}
    drawn = normal("std")
    return [
        ("**.embed_tokens.weight", normal("std", **padded)),
        ("**.layers.{layer}.self_attn.{q_proj,k_proj,v_proj,o_proj}.weight", drawn),
        ("**.layers.{layer}.mlp.gate.weight", {**drawn, "dtype": "float32"}),
        *_experts(drawn, drawn, drawn),
        *_NORMS,
        ("lm_head.weight", {"tie": "model.embed_tokens.weight"} if tied else drawn),
    ]


@preset(
    "qwen_moe",
    "Qwen3 MoE as torchtitan trains it: wo and w2 / sqrt(2 n_layers)",
    "torchtitan models/qwen3/__init__.py:52-84",
)
def _qwen_moe(*, n_layers: int, std: float = 0.02, tied: bool = False) -> Rules:
    """Embedding N(0, std²), total depth, not the layer's; names of torchtitan and Transformers."""
    wide, deep = torch_truncated("std"), torch_truncated("std / sqrt(2 * n_layers)")
    head = truncated("1 / sqrt(shape[1])", 3)
    layer = "**.layers.{layer}."
    return [
        ("**.{tok_embeddings,embed_tokens}.weight", head if tied else normal("std")),
        (f"{layer}attention.{{wq,wk,wv,qkv_linear.wq,qkv_linear.wk,qkv_linear.wv,qkv_linear.wqkv}}.weight", wide),
        (f"{layer}self_attn.{{q_proj,k_proj,v_proj}}.weight", wide),
        (f"{layer}{{attention.wo,self_attn.o_proj}}.weight", deep),
        *_titan_experts(wide, wide, deep),
        (f"{layer}{{moe.router.gate,mlp.gate}}.weight", {**wide, "dtype": "float32"}),
        *_experts(wide, wide, deep),
        (f"{layer}{{feed_forward.w1,feed_forward.w3,mlp.gate_proj,mlp.up_proj}}.weight", wide),
        (f"{layer}{{feed_forward.w2,mlp.down_proj}}.weight", deep),
        *_NORMS,
        ("{output,lm_head}.weight", {"tie": _EMBEDDINGS} if tied else head),
    ]


_EMBEDDINGS = ["tok_embeddings.weight", "model.embed_tokens.weight"]


def _titan_experts(w1: dict[str, Any], w3: dict[str, Any], w2: dict[str, Any]) -> Rules:
    """Experts of torchtitan, (experts, out, in) each: a tensor an expert."""
    experts = "**.layers.{layer}.moe.{experts,routed_experts.inner_experts}"
    laws = {"{w1,w1_EFD}": w1, "{w2,w2_EDF}": w2, "{w3,w3_EFD}": w3}
    return [(f"{experts}.{names}", {"stack": "expert", **law}) for names, law in laws.items()]


@preset(
    "deepseek",
    "DeepSeek-V3 as torchtitan trains it: outputs, w3 and the router / sqrt(2(layer + 1))",
    "torchtitan models/deepseek_v3/__init__.py:52-80,241",
)
def _deepseek(*, std: float = 0.02) -> Rules:
    """Latent attention, dense and expert layers, shared experts; names of torchtitan and Transformers."""
    wide, deep = torch_truncated("std"), torch_truncated("std / sqrt(2 * (layer + 1))")
    layer = "**.layers.{layer}."
    latent = "{q_proj,q_a_proj,q_b_proj,kv_a_proj_with_mqa,kv_b_proj}"
    dense = "{feed_forward,moe.shared_experts,mlp,mlp.shared_experts}"
    return [
        ("**.{tok_embeddings,embed_tokens}.weight", normal(1.0)),
        (f"{layer}attention.{{wq,wq_a,wq_b,wkv_a,wkv_b}}.weight", wide),
        (f"{layer}self_attn.{latent}.weight", wide),
        (f"{layer}{{attention.wo,self_attn.o_proj}}.weight", deep),
        (f"{layer}{dense}.{{w1,gate_proj}}.weight", wide),
        (f"{layer}{dense}.{{w2,w3,down_proj,up_proj}}.weight", deep),
        *_titan_experts(wide, deep, deep),
        *_experts(wide, deep, deep),
        (f"{layer}{{moe.router.gate,mlp.gate}}.weight", {**deep, "dtype": "float32"}),
        (
            f"{layer}{{moe,moe.router.gate,mlp.gate}}.{{expert_bias_E,expert_bias,e_score_correction_bias}}",
            {"scheme": "zeros", "dtype": "float32"},
        ),
        *_NORMS,
        ("{output,lm_head}.weight", truncated("1 / sqrt(shape[1])", 3)),
    ]
