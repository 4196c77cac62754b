"""What is laid over a model: widths by muP, adapters."""

from __future__ import annotations

from ...words import check_choice
from .laws import TORCH_WEIGHT, needed, normal
from .registry import Rules, preset

_EMBEDDINGS = "wte|wpe|tok_embeddings|embed_tokens|embed_positions|embeddings|word_embeddings"
_HEADS = "lm_head|output|output_layer|head|embed_out"
_OUTPUTS = "c_proj|wo|o_proj|out_proj|w2|down_proj|linear_proj|linear_fc2|fc2"


def _named(layers: str) -> str:
    return rf"(?:.*\.)?(?:{layers})\.weight"


@preset(
    "mup",
    "muP from a base width: hidden weights std / sqrt(m), their learning rate / m, m = width / base",
    "Megatron-LM core/utils.py:874-891; nanoGPT-mup model.py:160-170",
)
def _mup(*, base: float, width: float, n_layers: int | None = None, std: float = 0.02) -> Rules:
    """Language models of usual names; with `n_layers`, outputs of residual branches / sqrt(2 n_layers), too.

    Adam's learning rates: `Plan.learning_rates`. The rest of muP is the model's: logits / m, attention by 1/d in
    place of 1/sqrt(d).
    """
    deep = "" if n_layers is None else " / sqrt(2 * n_layers)"
    others = _named(f"{_EMBEDDINGS}|{_HEADS}|{_OUTPUTS}")
    hidden = {"lr": "base / width", "note": "hidden", "layout": "oi"}
    return [
        (f"re:{_named(_EMBEDDINGS)}", normal("std", note="embedding")),
        (f"re:{_named(_HEADS)}", normal("std", note="output: logits by base / width")),
        (f"re:{_named(_OUTPUTS)}", normal(f"std * sqrt(base / width){deep}", **hidden)),
        (f"re:(?!{others}$).*", {"ndim": [2, 3], **normal("std * sqrt(base / width)", **hidden)}),
        ("**.weight", {"ndim": 1, "scheme": "ones", "note": "vector"}),
        ("**.bias", {"ndim": 1, "scheme": "zeros", "note": "vector"}),
    ]


@preset(
    "lora",
    "Adapters of peft: A drawn, B zero; all else is left alone",
    "peft tuners/lora/layer.py:332-353, config.py:658-669",
)
def _lora(*, method: str = "kaiming", r: int | None = None) -> Rules:
    """Methods "kaiming" (U(±1/sqrt(fan_in))) and "gaussian" (N(0, 1/r²)) of `init_lora_weights`.

    Those that read the base weight (pissa, olora, loftq …), or draw A and B by one matrix, are none of a plan's.
    """
    if check_choice("method", method, ("kaiming", "gaussian")) == "gaussian":
        needed("r", r, "method 'gaussian'")
    return [
        ("**.lora_A.*.weight", normal("1 / r") if method == "gaussian" else TORCH_WEIGHT),
        ("**.lora_B.*.{weight,bias}", "zeros"),
        ("**.lora_embedding_A.*", "zeros"),
        ("**.lora_embedding_B.*", normal(1.0)),
        (r"re:(?!.*\.lora_(?:embedding_)?[AB]\.).*", "skip"),
    ]
