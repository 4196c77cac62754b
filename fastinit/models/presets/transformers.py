"""Transformers: language models, encoders, encoder-decoders."""

from __future__ import annotations

from ...words import check_choice
from .laws import needed, normal, torch_truncated, truncated, within
from .registry import Index, Rules, preset


@preset(
    "gpt2",
    "GPT-2: N(0, std²), outputs of residual branches / sqrt(2 n_layers)",
    "transformers 5.24 modeling_gpt2.py:432-449",
)
def _gpt2(*, n_layers: int, std: float = 0.02, tied: bool = True) -> Rules:
    """Names of Transformers and nanoGPT, whose rule is the same (model.py of both)."""
    head = {"tie": ["transformer.wte.weight", "wte.weight"]} if tied else normal("std")
    return [
        ("**.{wte,wpe}.weight", normal("std")),
        ("**.h.{layer}.{attn,crossattention}.{c_attn,q_attn}.weight", normal("std")),
        ("**.h.{layer}.mlp.c_fc.weight", normal("std")),
        ("**.h.{layer}.{attn,crossattention,mlp}.c_proj.weight", normal("std / sqrt(2 * n_layers)")),
        ("**.{ln_1,ln_2,ln_cross_attn,ln_f}.weight", "ones"),
        ("**.bias", {"ndim": 1, "scheme": "zeros"}),
        ("lm_head.weight", head),
    ]


_DEPTHS = {"index": "sqrt(2 * (layer + 1))", "total": "sqrt(2 * n_layers)"}


@preset(
    "llama",
    "Llama 3 as torchtitan trains it: outputs and w3 / sqrt(2(layer + 1))",
    "torchtitan models/llama3/__init__.py:45-106",
)
def _llama(*, n_layers: int | None = None, std: float = 0.02, depth: str = "index", tied: bool = False) -> Rules:
    """Names of torchtitan and of Transformers (w1 = gate_proj, w2 = down_proj, w3 = up_proj).

    `depth="total"` divides by sqrt(2 n_layers). Where embedding and head are one tensor it is drawn as a head.
    """
    if check_choice("depth", depth, _DEPTHS) == "total":
        needed("n_layers", n_layers, "depth 'total'")
    deep = torch_truncated(f"std / {_DEPTHS[depth]}")
    head = truncated("1 / sqrt(shape[1])", 3)
    embedding = "**.{tok_embeddings,embed_tokens}.weight"
    return [
        (embedding, head if tied else normal(1.0)),
        (
            "**.layers.{layer}.attention.{wq,wk,wv,qkv_linear.wq,qkv_linear.wk,qkv_linear.wv,qkv_linear.wqkv}.weight",
            torch_truncated("std"),
        ),
        ("**.layers.{layer}.self_attn.{q_proj,k_proj,v_proj}.weight", torch_truncated("std")),
        ("**.layers.{layer}.{attention.wo,self_attn.o_proj}.weight", deep),
        ("**.layers.{layer}.{feed_forward.w1,mlp.gate_proj}.weight", torch_truncated("std")),
        ("**.layers.{layer}.{feed_forward.w2,feed_forward.w3,mlp.down_proj,mlp.up_proj}.weight", deep),
        ("**norm.weight", {"ndim": 1, "scheme": "ones"}),
        ("**.bias", {"ndim": 1, "scheme": "zeros"}),
        ("{output,lm_head}.weight", {"tie": ["tok_embeddings.weight", "model.embed_tokens.weight"]} if tied else head),
    ]


_OLMO = ("normal", "normalized", "llama", "llama_depth", "fan_in")


@preset(
    "olmo",
    "OLMo-core's five methods, all cut at 3 std",
    "OLMo-core nn/transformer/init.py:29-250, attention/__init__.py:727-776",
)
def _olmo(
    *, method: str = "llama_depth", n_layers: int | None = None, std: float = 0.02, embed_scale: float = 1.0
) -> Rules:
    """Methods "normal", "normalized" (nGPT), "llama", "llama_depth" and "fan_in", which alone reads `embed_scale`."""
    method = check_choice("method", method, _OLMO)
    if method in ("normalized", "llama"):
        needed("n_layers", n_layers, f"method {method!r}")
    wide = {"normalized": "1 / sqrt(shape[-1])", "fan_in": "1 / sqrt(fan_in)"}.get(method, "std")
    depth = {"llama": " / sqrt(2 * n_layers)", "llama_depth": " / sqrt(2 * (layer + 1))"}.get(method, "")
    # The width of the model is what an output projection puts out.
    last = "1 / sqrt(shape[0]) / sqrt(2 * n_layers)" if method == "normalized" else wide + depth
    embedding = {
        "normal": truncated("std", 3),
        "normalized": normal("1 / sqrt(shape[1])"),
        "fan_in": normal("1 / embed_scale"),
    }.get(method, normal(1.0))
    head = "std" if method == "normal" else "1 / sqrt(shape[1])"
    block = "**.blocks.{layer}."
    return [
        ("**.embeddings.weight", embedding),
        (f"{block}attention.{{w_q,w_k,w_v,w_g,w_qkv}}.weight", truncated(wide, 3, layout="oi")),
        (f"{block}feed_forward.w1.weight", truncated(wide, 3, layout="oi")),
        (f"{block}feed_forward.w3.weight", truncated(wide + depth, 3, layout="oi")),
        (f"{block}{{attention.w_out,feed_forward.w2}}.weight", truncated(last, 3, layout="oi")),
        ("**norm.weight", {"ndim": 1, "scheme": "ones"}),
        ("**.bias", {"ndim": 1, "scheme": "zeros"}),
        ("**.lm_head.w_out.weight", truncated(head, 3)),
    ]


@preset(
    "megatron",
    "Megatron-LM: N(0, std²), outputs / sqrt(2 n_layers), embeddings by themselves",
    "Megatron-LM core/utils.py:862-891, transformer_config.py:388-417,2530-2612",
)
def _megatron(
    *, n_layers: int, std: float = 0.02, embedding_std: float | None = None, width_mult: float = 1.0, norm: float = 1.0
) -> Rules:
    """Dense layers, experts and routers; `width_mult` is muP's m: hidden weights / sqrt(m), their learning rate / m.

    `norm=0` is for norms of 1 + weight (`apply_layernorm_1p`).
    """
    hidden = normal("std / sqrt(width_mult)", lr="1 / width_mult")
    output = normal("std / sqrt(2 * n_layers) / sqrt(width_mult)", lr="1 / width_mult")
    embedding = normal("std" if embedding_std is None else "embedding_std")
    layer = "**.layers.{layer}."
    experts = "mlp.experts.local_experts.*"
    return [
        ("**.embedding.{word_embeddings,position_embeddings,tokentype_embeddings}.weight", embedding),
        (f"{layer}{{self_attention,cross_attention}}.{{linear_qkv,linear_q,linear_kv}}.weight", hidden),
        (f"{layer}{{self_attention,cross_attention}}.linear_proj.weight", output),
        (f"{layer}{{mlp,mlp.shared_experts}}.linear_fc1.weight", hidden),
        (f"{layer}{{mlp,mlp.shared_experts}}.linear_fc2.weight", output),
        (f"{layer}{experts}.linear_fc1.weight", hidden),
        (f"{layer}{experts}.linear_fc2.weight", output),
        (f"{layer}mlp.experts.linear_fc1.weight{{expert}}", hidden),
        (f"{layer}mlp.experts.linear_fc2.weight{{expert}}", output),
        (f"{layer}mlp.router.weight", {**hidden, "dtype": "float32"}),
        (f"{layer}mlp.router.expert_bias", {"scheme": "zeros", "dtype": "float32"}),
        ("**.{layer_norm_weight,weight}", {"ndim": 1, "scheme": "constant", "value": "norm"}),
        ("**.{layer_norm_bias,bias}", {"ndim": 1, "scheme": "zeros"}),
        ("**.output_layer.weight", normal("std")),
    ]


@preset(
    "nanochat", "nanochat: uniform hidden weights, zero outputs, scalars by depth", "nanochat nanochat/gpt.py:204-268"
)
def _nanochat(*, n_layers: int, n_embd: int) -> Rules:
    """Embedding N(0, 0.8²), head N(0, 0.001²), q, k, v and value embeddings U(±sqrt(3/n_embd)), 0.4 of it for c_fc."""
    place = "layer / max(n_layers - 1, 1)"
    wide, gate = within("sqrt(3 / n_embd)"), {"scheme": "uniform", "low": 0.0, "high": 0.02}
    return [
        ("**.wte.weight", normal(0.8)),
        ("**.lm_head.weight", normal(0.001)),
        ("**.h.{layer}.attn.{c_q,c_k,c_v}.weight", wide),
        ("**.value_embeds.{layer}.weight", wide),
        ("**.h.{layer}.mlp.c_fc.weight", within("0.4 * sqrt(3 / n_embd)")),
        ("**.h.{layer}.{attn,mlp}.c_proj.weight", "zeros"),
        ("**.h.{layer}.attn.ve_gate.weight", gate),
        ("**.smear_gate.weight", gate),
        ("**.resid_lambdas", {"stack": "layer", "scheme": "constant", "value": f"1.15 - 0.1 * {place}"}),
        ("**.x0_lambdas", {"stack": "layer", "scheme": "constant", "value": f"0.2 - 0.15 * {place}"}),
        ("**.smear_lambda", "zeros"),
        ("**.backout_lambda", {"scheme": "constant", "value": 0.2}),
    ]


@preset("t5", "T5: each projection by its own width, no scale in attention", "transformers 5.24 modeling_t5.py:567-620")
def _t5(*, d_model: int, d_kv: int = 64, factor: float = 1.0, tied: bool = True) -> Rules:
    """Matrices q N(0, 1/(d_model d_kv)), all others N(0, 1/fan_in), the embedding N(0, 1)."""
    shared = "shared.weight"
    wide = normal("factor / sqrt(fan_in)", layout="oi")
    return [
        ("shared.weight", normal("factor")),
        ("{encoder,decoder}.embed_tokens.weight", {"tie": shared}),
        ("**.{SelfAttention,EncDecAttention}.q.weight", normal("factor / sqrt(d_model * d_kv)")),
        ("**.{SelfAttention,EncDecAttention}.{k,v,o}.weight", wide),
        ("**.relative_attention_bias.weight", normal("factor / sqrt(d_model)")),
        ("**.DenseReluDense.{wi,wi_0,wi_1,wo}.weight", wide),
        ("**.{layer_norm,final_layer_norm}.weight", {"scheme": "constant", "value": "factor"}),
        ("lm_head.weight", {"tie": shared} if tied else normal("factor")),
    ]


@preset(
    "bert",
    "BERT: N(0, std²), the padding row 0",
    "transformers 5.24 modeling_bert.py:550-557, modeling_utils.py:2304-2368",
)
def _bert(*, std: float = 0.02, padding_idx: Index = 0) -> Rules:
    """Names of Transformers' models with any head; the head of masked language modelling is tied."""
    words = r"(?:.*\.)?(?:word_embeddings|predictions\.decoder)\.weight"
    return [
        ("**.word_embeddings.weight", normal("std", set={"[padding_idx]": 0})),
        ("cls.predictions.decoder.weight", {"tie": "bert.embeddings.word_embeddings.weight"}),
        ("cls.predictions.decoder.bias", {"tie": "cls.predictions.bias"}),
        (rf"re:(?!{words}$).*\.weight", {"ndim": 2, **normal("std")}),
        ("**.LayerNorm.weight", "ones"),
        (r"re:(?!cls\.predictions\.decoder\.).*\.bias", {"ndim": 1, "scheme": "zeros"}),
    ]


@preset(
    "whisper",
    "Whisper: N(0, std²), sinusoids for the encoder's positions",
    "whisper/model.py:62; transformers 5.24 modeling_whisper.py:527-533",
)
def _whisper(*, std: float = 0.02, padding_idx: Index | None = None, tied: bool = True) -> Rules:
    """Names of Transformers; the encoder's positions are a table that is not trained."""
    embedding = "model.decoder.embed_tokens.weight"
    padded = {} if padding_idx is None else {"set": {"[padding_idx]": 0}}
    return [
        ("**.encoder.embed_positions.weight", {"scheme": "sinusoids", "endpoint": True}),
        ("**.decoder.embed_positions.weight", normal("std")),
        ("**.decoder.embed_tokens.weight", normal("std", **padded)),
        ("**.{conv1,conv2,q_proj,k_proj,v_proj,out_proj,fc1,fc2}.weight", normal("std")),
        ("**.{self_attn_layer_norm,encoder_attn_layer_norm,final_layer_norm,layer_norm}.weight", "ones"),
        ("**.bias", {"ndim": 1, "scheme": "zeros"}),
        ("proj_out.weight", {"tie": embedding} if tied else normal("std")),
    ]
