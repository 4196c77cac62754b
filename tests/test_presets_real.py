"""Presets beside the real thing: what the modules themselves draw follows the laws that the plan assigns."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from agreement import check_module, check_tensor
from optional import library

import fastinit as fi

torch = library("torch")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(20260101)


def made(kind, config, **settings):
    transformers = library("transformers")
    return getattr(transformers, kind)(getattr(transformers, config)(**settings))


SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 199,
}
CASES = {
    "gpt2": (("GPT2LMHeadModel", "GPT2Config"), {"n_embd": 64, "n_layer": 3, "n_head": 4, "vocab_size": 199}, "gpt2",
             {"n_layers": 3}),
    "bert": (("BertForPreTraining", "BertConfig"), SMALL, "bert", {}),
    "bert classifier": (("BertForSequenceClassification", "BertConfig"), SMALL, "bert", {}),
    "t5": (("T5ForConditionalGeneration", "T5Config"), {"d_model": 64, "d_kv": 8, "d_ff": 96, "num_layers": 2,
           "num_heads": 4, "vocab_size": 199}, "t5", {"d_model": 64, "d_kv": 8}),
    "t5 v1.1": (("T5ForConditionalGeneration", "T5Config"), {"d_model": 64, "d_kv": 8, "d_ff": 96, "num_layers": 2,
                "num_heads": 4, "vocab_size": 199, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
                "t5", {"d_model": 64, "d_kv": 8, "tied": False}),
    "whisper": (("WhisperForConditionalGeneration", "WhisperConfig"), {"d_model": 64, "encoder_layers": 2,
                "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 96,
                "decoder_ffn_dim": 96, "vocab_size": 199, "pad_token_id": 7, "decoder_start_token_id": 3},
                "whisper", {"padding_idx": 7}),
    "mixtral": (("MixtralForCausalLM", "MixtralConfig"), {**SMALL, "num_local_experts": 4, "num_key_value_heads": 2},
                "mixtral", {}),
    "qwen3 moe": (("Qwen3MoeForCausalLM", "Qwen3MoeConfig"), {**SMALL, "num_experts": 4, "num_key_value_heads": 2,
                  "head_dim": 16, "moe_intermediate_size": 48, "initializer_range": 0.05}, "hf",
                  {"initializer_range": 0.05}),
    "mamba": (("MambaForCausalLM", "MambaConfig"), {"hidden_size": 64, "num_hidden_layers": 3, "vocab_size": 199},
              "mamba", {"n_layers": 3, "library": "transformers", "std": 0.1, "rescale": False}),
    "mamba rescaled": (("MambaForCausalLM", "MambaConfig"), {"hidden_size": 64, "num_hidden_layers": 3,
                       "vocab_size": 199, "rescale_prenorm_residual": True, "initializer_range": 0.05}, "mamba",
                       {"n_layers": 3, "library": "transformers", "std": 0.05}),
    "mamba2": (("Mamba2ForCausalLM", "Mamba2Config"), {"hidden_size": 128, "num_hidden_layers": 2, "num_heads": 64,
               "head_dim": 4, "n_groups": 2, "vocab_size": 199, "rescale_prenorm_residual": True}, "mamba2",
               {"n_layers": 2, "library": "transformers", "std": 0.1, "tied": False}),
    "llama": (("LlamaForCausalLM", "LlamaConfig"), {**SMALL, "pad_token_id": 5}, "hf", {"padding_idx": 5}),
    "gemma": (("Gemma2ForCausalLM", "Gemma2Config"), {**SMALL, "head_dim": 16, "num_key_value_heads": 2}, "hf",
              {"norm": 0.0, "padding_idx": 0}),
    "vit of transformers": (("ViTForImageClassification", "ViTConfig"), {**SMALL, "image_size": 32, "patch_size": 8},
                            "hf", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_modules_of_transformers(case):
    kind, settings, preset, variables = CASES[case]
    module = made(*kind, **settings)
    assert check_module(module, fi.Plan.preset(preset, **variables)) > 20


@pytest.mark.parametrize(
    ("kind", "settings", "preset", "variables"),
    [
        (("DeepseekV3ForCausalLM", "DeepseekV3Config"), {"num_hidden_layers": 5}, "deepseek", {}),
        (("Qwen3MoeForCausalLM", "Qwen3MoeConfig"), {"num_hidden_layers": 3}, "qwen_moe", {"n_layers": 3}),
        (("LlamaForCausalLM", "LlamaConfig"), {"num_hidden_layers": 3, "attention_bias": True}, "llama", {}),
    ],
)
def test_names_of_transformers(kind, settings, preset, variables):
    with torch.device("meta"):
        module = made(*kind, **settings)
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    assert len(fi.Plan.preset(preset, **variables).resolve(shapes)) == len(shapes)


def test_a_wrong_plan_is_seen():
    module = made("GPT2LMHeadModel", "GPT2Config", n_embd=64, n_layer=3, n_head=4, vocab_size=199)
    for wrong in ({"n_layers": 2}, {"n_layers": 4}, {"n_layers": 3, "std": 0.0205}):
        with pytest.raises(AssertionError):
            check_module(module, fi.Plan.preset("gpt2", **wrong))


def layers():
    nn = torch.nn
    return nn.ModuleDict(
        {
            "linear": nn.Linear(48, 96), "conv": nn.Conv2d(8, 32, 3, groups=2), "conv1": nn.Conv1d(16, 32, 5),
            "conv3": nn.Conv3d(4, 16, 3), "up": nn.ConvTranspose2d(16, 24, 3, groups=2),
            "both": nn.Bilinear(24, 12, 16),
            "embedding": nn.Embedding(99, 24), "bag": nn.EmbeddingBag(99, 24), "norm": nn.LayerNorm(24),
            "rms": nn.RMSNorm(24), "group": nn.GroupNorm(2, 24), "batch": nn.BatchNorm2d(24), "prelu": nn.PReLU(3),
            "instance": nn.InstanceNorm1d(24, affine=True), "lstm": nn.LSTM(24, 36, 2, bidirectional=True),
            "projected": nn.LSTM(24, 36, proj_size=12), "gru": nn.GRU(24, 36), "rnn": nn.RNN(24, 36),
            "cell": nn.GRUCell(24, 36), "attention": nn.MultiheadAttention(48, 4, add_bias_kv=True),
            "cross": nn.MultiheadAttention(48, 4, kdim=24, vdim=36),
        }
    )  # fmt: skip


def test_modules_of_torch():
    assert check_module(layers(), fi.Plan.preset("torch")) == 69


def vision(name, **settings):
    if importlib.util.find_spec("timm") is None:
        library("timm")
    return MAKE.vision(name, **settings)


_spec = importlib.util.spec_from_file_location("make", Path(__file__).parent.parent / "examples" / "shapes" / "make.py")
MAKE = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(MAKE)


@pytest.mark.parametrize("method", ["", "jax", "jax_nlhb", "moco"])
@pytest.mark.parametrize("fix", [False, True])
def test_modules_of_timm(method, fix):
    module = vision(
        "vit_tiny_patch16_224", weight_init=method, fix_init=fix, depth=3, img_size=64, num_classes=101,
        init_values=1e-3, reg_tokens=2,
    )  # fmt: skip
    plan = fi.Plan.preset("vit", method=method or "timm", n_classes=101, fix_init=fix, layer_scale=1e-3)
    assert check_module(module, plan) > 40


@pytest.mark.parametrize(("name", "variables"), [("resnet14t", {}), ("resnet10t", {"last": "bn2"})])
def test_residual_networks_of_timm(name, variables):
    assert check_module(vision(name), fi.Plan.preset("resnet", zero_init_last=True, **variables)) > 30


def test_the_shapes_are_those_of_the_modules():
    library("transformers")
    with torch.device("meta"):
        for model in ("gpt2", "tinyllama", "mixtral", "mamba_130m"):
            found = MAKE.shapes(MAKE.MODELS[model]())
            assert found == MAKE.read(model)


def test_the_shapes_are_those_of_the_modules_of_timm():
    for model in ("vit_b16", "resnet50"):
        with torch.device("meta"):
            module = vision({"vit_b16": "vit_base_patch16_224"}.get(model, model))
        assert MAKE.shapes(module) == MAKE.read(model)


def test_a_tensor_of_another_law_is_seen():
    plan = fi.Plan([("a", {"scheme": "uniform", "low": -1.0, "high": 1.0}), ("b", "normal")])
    found = plan.resolve({"a": 4000, "b": 4000})
    rng = np.random.default_rng(3)
    check_tensor(found["a"], rng.uniform(-1, 1, 4000))
    check_tensor(found["b"], rng.normal(size=4000))
    with pytest.raises(AssertionError, match="for Uniform"):
        check_tensor(found["a"], rng.normal(0, 3**-0.5, 4000))
    with pytest.raises(AssertionError, match="kurtosis"):
        check_tensor(found["b"], rng.uniform(-(3**0.5), 3**0.5, 4000))
