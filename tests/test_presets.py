"""Presets: the true shapes of real models have one rule for each parameter, and each law is the one in its source."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import fastinit as fi

SHAPES = Path(__file__).parent.parent / "examples" / "shapes"

# Model, preset, its variables, parameters.
MODELS = [
    ("gpt2", "gpt2", {"n_layers": 12}, 148),
    ("gpt2", "hf", {}, 148),
    ("mamba_130m", "mamba", {"n_layers": 24}, 242),
    ("mamba_130m", "mamba", {"n_layers": 24, "library": "transformers", "std": 0.1}, 242),
    ("gpt2", "mup", {"base": 256, "width": 768, "n_layers": 12}, 148),
    ("tinyllama", "llama", {}, 201),
    ("tinyllama", "llama", {"depth": "total", "n_layers": 22}, 201),
    ("tinyllama", "hf", {"initializer_range": 0.01, "padding_idx": 0}, 201),
    ("tinyllama", "mup", {"base": 256, "width": 2048}, 201),
    ("tinyllama", "lora", {}, 201),
    ("mixtral", "mixtral", {}, 291),
    ("mixtral", "qwen_moe", {"n_layers": 32}, 291),
    ("mixtral", "hf", {}, 291),
    ("vit_b16", "vit", {}, 152),
    ("vit_b16", "vit", {"method": "jax"}, 152),
    ("vit_b16", "vit", {"method": "jax_nlhb", "n_classes": 1000}, 152),
    ("vit_b16", "vit", {"method": "moco"}, 152),
    ("vit_b16", "vit", {"fix_init": True}, 152),
    ("resnet50", "resnet", {}, 161),
    ("resnet50", "resnet", {"zero_init_last": True}, 161),
    ("resnet50", "torch", {}, 161),
]


def shapes(model):
    return json.loads((SHAPES / f"{model}.json").read_text())


@pytest.mark.parametrize(("model", "preset", "variables", "count"), MODELS)
def test_a_real_model_has_one_rule_for_each_parameter(model, preset, variables, count, tmp_path):
    plan = fi.Plan.preset(preset, **variables)
    found = plan.resolve(shapes(model), dtype="bfloat16")
    assert len(found) == count
    assert fi.Plan.from_json(plan.to_json()).resolve(shapes(model), dtype="bfloat16") == found
    plan.save(tmp_path / "plan.toml")
    assert fi.Plan.load(tmp_path / "plan.toml") == plan


def test_a_small_layer_of_each_model_is_drawn():
    for model, preset, variables, _ in MODELS:
        few = dict(list(shapes(model).items())[1:6])
        small = {name: {**what, "shape": [min(n, 16) for n in what["shape"]]} for name, what in few.items()}
        for name, tensor in fi.Plan.preset(preset, **variables).init(small, seed=1, dtype="bfloat16").items():
            assert tensor.shape == tuple(small[name]["shape"])


def normal(std, bound=math.inf):
    return ("normal", std, bound * std if math.isfinite(bound) else bound)


def uniform(bound):
    return ("uniform", bound)


def constant(value):
    return ("constant", value)


def told(law):
    """What a law is, in the words of this file."""
    kind = type(law).__name__
    if kind == "Constant":
        return ("constant", law.value)
    if kind == "Uniform":
        assert law.low == -law.high or law.low == 0
        return ("uniform", law.high)
    assert law.mean == 0
    if kind == "Normal":
        return ("normal", law.std, math.inf)
    assert kind == "TruncatedNormal"
    assert law.lower == -law.upper
    return ("normal", law.std, law.upper * law.std)


# Preset, variables -> name, shape -> law by its source: standard deviation and bound before the truncation.
LAWS = {
    ("gpt2", 'n_layers=8'): [
        ("transformer.wte.weight", (50, 8), normal(0.02)),
        ("wpe.weight", (50, 8), normal(0.02)),
        ("transformer.h.3.attn.c_attn.weight", (8, 24), normal(0.02)),
        ("transformer.h.3.attn.c_proj.weight", (8, 8), normal(0.02 / 4)),
        ("transformer.h.3.mlp.c_proj.weight", (32, 8), normal(0.02 / 4)),
        ("transformer.h.3.mlp.c_proj.bias", (8,), constant(0)),
        ("transformer.ln_f.weight", (8,), constant(1)),
    ],
    ("llama", ""): [
        ("tok_embeddings.weight", (50, 16), normal(1.0)),
        ("layers.1.attention.wq.weight", (16, 16), ("normal", 0.02, 2.0)),
        ("layers.1.attention.qkv_linear.wqkv.weight", (48, 16), ("normal", 0.02, 2.0)),
        ("layers.1.attention.wo.weight", (16, 16), ("normal", 0.01, 2.0)),
        ("layers.7.feed_forward.w1.weight", (48, 16), ("normal", 0.02, 2.0)),
        ("layers.7.feed_forward.w2.weight", (16, 48), ("normal", 0.005, 2.0)),
        ("layers.7.feed_forward.w3.weight", (48, 16), ("normal", 0.005, 2.0)),
        ("model.layers.7.mlp.gate_proj.weight", (48, 16), ("normal", 0.02, 2.0)),
        ("model.layers.7.mlp.up_proj.weight", (48, 16), ("normal", 0.005, 2.0)),
        ("layers.7.ffn_norm.weight", (16,), constant(1)),
        ("norm.weight", (16,), constant(1)),
        ("output.weight", (50, 16), normal(0.25, 3)),
    ],
    ("llama", "depth='total', n_layers=32, std=0.04"): [
        ("layers.1.attention.wo.weight", (4, 4), ("normal", 0.005, 2.0)),
    ],
    ("olmo", ""): [
        ("embeddings.weight", (50, 16), normal(1.0)),
        ("blocks.1.attention.w_q.weight", (8, 16), normal(0.02, 3)),
        ("blocks.1.attention.w_out.weight", (16, 8), normal(0.01, 3)),
        ("blocks.7.feed_forward.w1.weight", (64, 16), normal(0.02, 3)),
        ("blocks.7.feed_forward.w2.weight", (16, 64), normal(0.005, 3)),
        ("blocks.7.feed_forward.w3.weight", (64, 16), normal(0.005, 3)),
        ("lm_head.w_out.weight", (50, 16), normal(0.25, 3)),
    ],
    ("olmo", "method='llama', n_layers=8"): [
        ("embeddings.weight", (50, 16), normal(1.0)),
        ("blocks.0.attention.w_out.weight", (16, 8), normal(0.005, 3)),
        ("blocks.0.feed_forward.w3.weight", (64, 16), normal(0.005, 3)),
        ("blocks.0.feed_forward.w1.weight", (64, 16), normal(0.02, 3)),
    ],
    ("olmo", "method='normal'"): [
        ("embeddings.weight", (50, 16), normal(0.02, 3)),
        ("blocks.3.attention.w_out.weight", (16, 8), normal(0.02, 3)),
        ("lm_head.w_out.weight", (50, 16), normal(0.02, 3)),
    ],
    ("olmo", "method='normalized', n_layers=8"): [
        ("embeddings.weight", (50, 16), normal(0.25)),
        ("blocks.3.attention.w_q.weight", (64, 16), normal(0.25, 3)),
        ("blocks.3.attention.w_out.weight", (16, 64), normal(0.0625, 3)),
        ("blocks.3.feed_forward.w3.weight", (64, 16), normal(0.25, 3)),
        ("blocks.3.feed_forward.w2.weight", (16, 64), normal(0.0625, 3)),
        ("lm_head.w_out.weight", (50, 16), normal(0.25, 3)),
    ],
    ("olmo", "method='fan_in', embed_scale=4.0"): [
        ("embeddings.weight", (50, 16), normal(0.25)),
        ("blocks.3.attention.w_out.weight", (16, 64), normal(0.125, 3)),
        ("blocks.3.feed_forward.w1.weight", (64, 16), normal(0.25, 3)),
        ("blocks.3.feed_forward.w2.weight", (16, 64), normal(0.125, 3)),
    ],
    ("megatron", "n_layers=8, embedding_std=1.0"): [
        ("embedding.word_embeddings.weight", (50, 16), normal(1.0)),
        ("module.decoder.layers.3.self_attention.linear_qkv.weight", (48, 16), normal(0.02)),
        ("decoder.layers.3.self_attention.linear_proj.weight", (16, 16), normal(0.005)),
        ("decoder.layers.3.mlp.linear_fc1.weight", (64, 16), normal(0.02)),
        ("decoder.layers.3.mlp.linear_fc2.weight", (16, 64), normal(0.005)),
        ("decoder.layers.3.mlp.experts.linear_fc2.weight7", (16, 64), normal(0.005)),
        ("decoder.layers.3.mlp.experts.local_experts.2.linear_fc1.weight", (64, 16), normal(0.02)),
        ("decoder.layers.3.mlp.router.weight", (8, 16), normal(0.02)),
        ("decoder.layers.3.mlp.linear_fc1.layer_norm_weight", (16,), constant(1)),
        ("decoder.layers.3.mlp.linear_fc1.bias", (64,), constant(0)),
        ("output_layer.weight", (50, 16), normal(0.02)),
    ],
    ("megatron", "n_layers=8, width_mult=4.0, norm=0.0"): [
        ("embedding.word_embeddings.weight", (50, 16), normal(0.02)),
        ("decoder.layers.3.self_attention.linear_qkv.weight", (48, 16), normal(0.01)),
        ("decoder.layers.3.mlp.linear_fc2.weight", (16, 64), normal(0.0025)),
        ("decoder.final_layernorm.weight", (16,), constant(0)),
    ],
    ("nanochat", "n_layers=5, n_embd=48"): [
        ("transformer.wte.weight", (50, 48), normal(0.8)),
        ("lm_head.weight", (50, 48), normal(0.001)),
        ("transformer.h.0.attn.c_q.weight", (48, 48), uniform(0.25)),
        ("value_embeds.3.weight", (50, 16), uniform(0.25)),
        ("transformer.h.0.mlp.c_fc.weight", (192, 48), uniform(0.1)),
        ("transformer.h.0.mlp.c_proj.weight", (48, 192), constant(0)),
        ("transformer.h.1.attn.ve_gate.weight", (2, 12), uniform(0.02)),
        ("smear_lambda", (1,), constant(0)),
        ("backout_lambda", (1,), constant(0.2)),
    ],
    ("t5", "d_model=64, d_kv=4"): [
        ("shared.weight", (50, 64), normal(1.0)),
        ("encoder.block.0.layer.0.SelfAttention.q.weight", (16, 64), normal(1 / 16)),
        ("encoder.block.0.layer.0.SelfAttention.k.weight", (16, 64), normal(1 / 8)),
        ("encoder.block.0.layer.0.SelfAttention.o.weight", (64, 16), normal(1 / 4)),
        ("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (32, 4), normal(1 / 8)),
        ("decoder.block.0.layer.2.DenseReluDense.wi_0.weight", (256, 64), normal(1 / 8)),
        ("decoder.block.0.layer.2.DenseReluDense.wo.weight", (64, 256), normal(1 / 16)),
        ("decoder.final_layer_norm.weight", (64,), constant(1)),
    ],
    ("deepseek", ""): [
        ("layers.7.attention.wkv_b.weight", (16, 16), ("normal", 0.02, 2.0)),
        ("layers.7.attention.wo.weight", (16, 16), ("normal", 0.005, 2.0)),
        ("layers.7.moe.router.gate.weight", (8, 16), ("normal", 0.005, 2.0)),
        ("layers.7.moe.routed_experts.inner_experts.w1_EFD", (4, 8, 16), ("normal", 0.02, 2.0)),
        ("layers.7.moe.routed_experts.inner_experts.w2_EDF", (4, 16, 8), ("normal", 0.005, 2.0)),
        ("layers.7.moe.experts.w3", (4, 8, 16), ("normal", 0.005, 2.0)),
        ("layers.7.moe.shared_experts.w3.weight", (8, 16), ("normal", 0.005, 2.0)),
        ("model.layers.7.self_attn.kv_a_proj_with_mqa.weight", (8, 16), ("normal", 0.02, 2.0)),
        ("model.layers.7.mlp.experts.down_proj", (4, 16, 8), ("normal", 0.005, 2.0)),
        ("model.layers.7.mlp.gate.e_score_correction_bias", (8,), constant(0)),
    ],
    ("qwen_moe", "n_layers=8"): [
        ("tok_embeddings.weight", (50, 16), normal(0.02)),
        ("layers.7.attention.wo.weight", (16, 16), ("normal", 0.005, 2.0)),
        ("layers.7.moe.experts.w2", (4, 16, 8), ("normal", 0.005, 2.0)),
        ("layers.7.moe.experts.w3", (4, 8, 16), ("normal", 0.02, 2.0)),
        ("layers.7.moe.router.gate.weight", (8, 16), ("normal", 0.02, 2.0)),
        ("layers.7.attention.q_norm.weight", (16,), constant(1)),
    ],
    ("mup", "base=64, width=256, n_layers=8"): [
        ("transformer.wte.weight", (50, 256), normal(0.02)),
        ("transformer.h.0.attn.c_attn.weight", (256, 768), normal(0.01)),
        ("transformer.h.0.attn.c_proj.weight", (256, 256), normal(0.0025)),
        ("lm_head.weight", (50, 256), normal(0.02)),
        ("transformer.ln_f.weight", (256,), constant(1)),
    ],
    ("lora", "method='gaussian', r=8"): [
        ("q.lora_A.default.weight", (8, 64), normal(1 / 8)),
        ("q.lora_B.default.weight", (64, 8), constant(0)),
        ("e.lora_embedding_A.default", (8, 50), constant(0)),
        ("e.lora_embedding_B.default", (64, 8), normal(1.0)),
    ],
    ("lora", ""): [("q.lora_A.default.weight", (8, 64), uniform(1 / 8))],
    ("dit", ""): [
        ("x_embedder.proj.weight", (32, 4, 2, 2), uniform(math.sqrt(6 / (32 + 16)))),
        ("blocks.3.attn.qkv.weight", (96, 32), uniform(math.sqrt(6 / 128))),
        ("blocks.3.adaLN_modulation.1.weight", (192, 32), constant(0)),
        ("t_embedder.mlp.2.weight", (32, 32), normal(0.02)),
        ("y_embedder.embedding_table.weight", (11, 32), normal(0.02)),
        ("final_layer.linear.weight", (32, 32), constant(0)),
        ("blocks.3.attn.qkv.bias", (96,), constant(0)),
    ],
    ("mamba", "n_layers=4"): [
        ("backbone.embedding.weight", (50, 16), normal(0.02)),
        ("backbone.layers.0.mixer.in_proj.weight", (64, 16), uniform(0.25)),
        ("backbone.layers.0.mixer.conv1d.weight", (32, 1, 4), uniform(0.5)),
        ("backbone.layers.0.mixer.conv1d.bias", (32,), uniform(0.5)),
        ("backbone.layers.0.mixer.dt_proj.weight", (32, 4), uniform(0.5)),
        ("backbone.layers.0.mixer.out_proj.weight", (16, 64), uniform(1 / 16)),
        ("backbone.layers.0.mixer.D", (32,), constant(1)),
        ("backbone.layers.0.norm.weight", (16,), constant(1)),
    ],
    ("mamba2", "n_layers=4, residuals=4"): [
        ("backbone.layers.0.mixer.out_proj.weight", (16, 64), uniform(1 / 32)),
        ("backbone.layers.0.mlp.fc2.weight", (16, 64), uniform(1 / 32)),
        ("backbone.layers.0.mlp.fc1.weight", (128, 16), uniform(1 / 4)),
        ("backbone.layers.0.mixer.norm.weight", (64,), constant(1)),
    ],
    ("gated_deltanet", ""): [
        ("model.embeddings.weight", (50, 16), normal(0.02)),
        ("model.layers.1.attn.q_proj.weight", (16, 16), normal(0.02)),
        ("model.layers.1.attn.q_conv1d.weight", (16, 1, 4), normal(0.02)),
        ("model.layers.1.attn.o_proj.weight", (16, 16), normal(0.02)),
        ("model.layers.1.attn.o_norm.weight", (8,), constant(1)),
    ],
    ("gated_deltanet", "prenorm='rescale', n_layers=8"): [
        ("model.layers.1.attn.o_proj.weight", (16, 16), uniform(1 / 16)),
        ("model.layers.1.mlp.down_proj.weight", (16, 64), uniform(1 / 32)),
        ("model.layers.1.mlp.up_proj.weight", (64, 16), normal(0.02)),
    ],
    ("gated_deltanet", "prenorm='zero'"): [("model.layers.1.attn.o_proj.weight", (16, 16), constant(0))],
    ("rwkv7", "n_layers=8"): [
        ("emb.weight", (50, 64), uniform(1e-4)),
        ("blocks.3.att.k_a", (1, 1, 64), constant(1.02)),
        ("blocks.3.att.w1", (64, 32), constant(0)),
        ("blocks.3.att.output.weight", (64, 64), constant(0)),
        ("blocks.3.att.ln_x.weight", (64,), constant(0.5**0.7)),
        ("blocks.3.att.ln_x.bias", (64,), constant(0)),
        ("blocks.3.ln1.weight", (64,), constant(1)),
    ],
    ("resnet", ""): [
        ("layer2.0.conv2.weight", (8, 4, 3, 3), normal(math.sqrt(2 / 72))),
        ("layer2.0.downsample.0.weight", (8, 4, 1, 1), normal(0.5)),
        ("layer2.0.bn3.weight", (8,), constant(1)),
        ("fc.weight", (10, 16), uniform(0.25)),
    ],
    ("resnet", "zero_init_last=True, last='bn2'"): [
        ("layer2.0.bn2.weight", (8,), constant(0)),
        ("layer2.0.bn1.weight", (8,), constant(1)),
        ("layer2.0.downsample.1.weight", (8,), constant(1)),
    ],
    ("hf", "initializer_range=0.01, norm=0.0"): [
        ("model.layers.0.mlp.experts.gate_up_proj", (4, 8, 16), normal(0.01)),
        ("model.layers.0.mlp.gate.weight", (4, 16), normal(0.01)),
        ("model.layers.0.input_layernorm.weight", (16,), constant(0)),
    ],
    ("vit", "method='jax_nlhb', n_classes=100"): [
        ("head.bias", (100,), constant(-math.log(100))),
        ("head.weight", (100, 16), constant(0)),
        ("blocks.0.mlp.fc1.bias", (64,), normal(1e-6)),
    ],
    ("vit", "fix_init=True"): [
        ("blocks.7.attn.proj.weight", (16, 16), ("normal", 0.005, 0.5)),
        ("blocks.7.mlp.fc1.weight", (64, 16), ("normal", 0.02, 2.0)),
    ],
    ("vit", "method='moco', fix_init=True"): [
        ("blocks.7.attn.qkv.weight", (48, 32), uniform(math.sqrt(6 / 48))),
        ("blocks.7.attn.proj.weight", (32, 32), uniform(math.sqrt(6 / 64) / 4)),
        ("patch_embed.proj.weight", (32, 4, 2, 2), uniform(0.25)),
    ],
    ("keras", ""): [
        ("dense/kernel", (8, 16), uniform(0.5)),
        ("conv/kernel", (3, 3, 4, 8), uniform(math.sqrt(6 / 108))),
        ("mha/query/kernel", (8, 2, 8), uniform(0.5)),
        ("mha/attention_output/kernel", (2, 4, 16), uniform(0.5)),
        ("embedding/embeddings", (50, 8), uniform(0.05)),
        ("dense/bias", (16,), constant(0)),
        ("layer_normalization/gamma", (16,), constant(1)),
        ("batch_normalization/moving_variance", (16,), constant(1)),
    ],
    ("flax", ""): [
        ("params/Embed_0/embedding", (50, 16), normal(0.25)),
        ("params/LayerNorm_0/scale", (16,), constant(1)),
        ("params/Dense_0/bias", (16,), constant(0)),
        ("batch_stats/BatchNorm_0/var", (16,), constant(1)),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("preset", "variables"), LAWS)
def test_laws_by_their_source(preset, variables):
    plan = fi.Plan.preset(preset, **eval(f"dict({variables})"))
    cases = LAWS[preset, variables]
    found = plan.resolve({name: shape for name, shape, _ in cases})
    for name, _, expected in cases:
        for piece in found[name].pieces:
            kind, *numbers = told(piece.law)
            assert (kind, numbers) == (expected[0], pytest.approx(list(expected[1:]), rel=1e-14)), name


def test_kernels_of_attention_count_their_heads():
    plan = fi.Plan.preset("flax")
    found = plan.resolve({"a/query/kernel": (16, 2, 4), "a/out/kernel": (2, 8, 32), "dense/kernel": (16, 4)})
    assert [math.sqrt(one.pieces[0].law.variance) for one in found.values()] == pytest.approx([0.25] * 3)


def test_scalars_by_depth():
    plan = fi.Plan.preset("nanochat", n_layers=5, n_embd=48)
    found = plan.init({"resid_lambdas": 5, "x0_lambdas": 5}, seed=0, dtype="float64")
    assert found["resid_lambdas"] == pytest.approx([1.15, 1.125, 1.1, 1.075, 1.05])
    assert found["x0_lambdas"] == pytest.approx([0.2, 0.1625, 0.125, 0.0875, 0.05])


def test_time_steps_and_decay_rates():
    shapes = {f"layers.0.mixer.{name}": 40_000 for name in ("A_log", "dt_bias")}
    found = fi.Plan.preset("mamba2", n_layers=2).init(shapes, seed=5, dtype="bfloat16")
    a, dt = (found[name].astype("f8") for name in shapes)
    assert found["layers.0.mixer.A_log"].dtype == np.float32
    assert stats.kstest(np.exp(a), stats.uniform(1, 15).cdf).pvalue > 1e-3
    assert stats.kstest(np.log(np.log1p(np.exp(dt))), stats.uniform(np.log(1e-3), np.log(100)).cdf).pvalue > 1e-3
    fla = fi.Plan.preset("gated_deltanet").init({"layers.0.attn.A_log": 40_000}, seed=5)["layers.0.attn.A_log"]
    assert np.isfinite(fla).all()
    assert stats.kstest(np.exp(fla.astype("f8")), stats.uniform(0, 16).cdf).pvalue > 1e-3
    one = fi.Plan.preset("mamba", n_layers=2).init({"layers.0.mixer.A_log": (6, 16)}, seed=5)["layers.0.mixer.A_log"]
    np.testing.assert_allclose(one, np.log(np.arange(1, 17))[None].repeat(6, 0), rtol=1e-6)


def test_ramps_of_rwkv7():
    n, layers, layer, head = 128, 12, 5, 32
    path = f"blocks.{layer}.att."
    names = [path + name for name in ("w0", "a0", "v0", "k_k", "x_r", "x_w", "x_k", "x_v", "x_a", "x_g")]
    names.append(f"blocks.{layer}.ffn.x_k")
    found = fi.Plan.preset("rwkv7", n_layers=layers, head_size=head).init(dict.fromkeys(names, (1, 1, n)), seed=0)
    found = {name.removeprefix(path): tensor.reshape(-1) for name, tensor in found.items()}
    i = np.arange(n)
    up, down = layer / (layers - 1), 1 - layer / layers
    linear, zigzag = i / (n - 1) - 0.5, ((i % head) - (head - 1) / 2) / ((head - 1) / 2)
    zigzag = zigzag * abs(zigzag)
    expected = {
        "w0": -6 + 6 * (i / (n - 1)) ** (1 + up**0.3) + 0.5 + zigzag * 2.5,
        "a0": -0.19 + zigzag * 0.3 + linear * 0.4, "v0": 0.73 - linear * 0.4, "k_k": 0.71 - linear * 0.1,
        f"blocks.{layer}.ffn.x_k": 1 - (i / n) ** (down**4),
        **{f"x_{c}": 1 - (i / n) ** (p * down) for c, p in zip("rwkvag", (0.2, 0.9, 0.7, 0.7, 0.9, 0.2), strict=True)},
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_orthogonal_matrices_of_rwkv7():
    shapes = {"head.weight": (96, 24), "blocks.0.att.key.weight": (24, 24), "blocks.0.att.w2": (8, 24),
              "blocks.0.ffn.key.weight": (96, 24), "blocks.0.att.value.weight": (24, 24)}  # fmt: skip
    found = fi.Plan.preset("rwkv7", n_layers=2).init(shapes, seed=1)
    gains = {name: np.linalg.svd(tensor.astype("f8"), compute_uv=False) for name, tensor in found.items()}
    for (name, values), gain in zip(gains.items(), (1.0, 0.1, 0.1, 1.0, 1.0), strict=True):
        np.testing.assert_allclose(values, gain, rtol=1e-5, err_msg=name)


def test_positions_of_dit():
    side, width = 6, 32
    found = fi.Plan.preset("dit").init({"pos_embed": (1, side * side, width)}, seed=0)["pos_embed"][0]
    omega = 10000.0 ** -(np.arange(width // 4) / (width / 4))
    columns, rows = np.tile(np.arange(side), side)[:, None] * omega, np.repeat(np.arange(side), side)[:, None] * omega
    expected = np.concatenate([np.sin(columns), np.cos(columns), np.sin(rows), np.cos(rows)], 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_recurrent_kernels_are_orthogonal():
    for preset, name in (("keras", "lstm/lstm_cell/recurrent_kernel"), ("flax", "LSTMCell_0/hi/kernel")):
        found = fi.Plan.preset(preset).init({name: (12, 12)}, seed=0)[name].astype("f8")
        np.testing.assert_allclose(found @ found.T, np.eye(12), atol=1e-5)


def test_the_forget_gates_bias():
    found = fi.Plan.preset("keras").init({"lstm/lstm_cell/bias": 8, "gru/gru_cell/bias": (2, 6)}, seed=0)
    assert found["lstm/lstm_cell/bias"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert not found["gru/gru_cell/bias"].any()


def test_learning_rates_of_mup():
    rates = fi.Plan.preset("mup", base=64, width=256).learning_rates(
        {"wte.weight": (9, 8), "h.0.c_fc.weight": (8, 9), "h.0.c_proj.weight": (8, 9), "lm_head.weight": (9, 8),
         "ln.weight": 8, "ln.bias": 8}
    )  # fmt: skip
    assert list(rates.values()) == [1, 0.25, 0.25, 1, 1, 1]


@pytest.mark.parametrize("preset", ["mixtral", "qwen_moe", "deepseek"])
def test_packed_experts_are_the_separate_ones(preset):
    plan = fi.Plan.preset(preset, **({"n_layers": 4} if preset == "qwen_moe" else {}))
    path = "model.layers.2.mlp.experts"
    packed = plan.init({f"{path}.gate_up_proj": (3, 16, 4), f"{path}.down_proj": (3, 4, 8)}, seed=3, dtype="bfloat16")
    names = ("gate_proj", "up_proj", "down_proj")
    single = {f"{path}.{e}.{n}.weight": (4, 8) if n == "down_proj" else (8, 4) for e in range(3) for n in names}
    apart = plan.init(single, seed=3, dtype="bfloat16")
    for e in range(3):
        gate, up, down = (apart[f"{path}.{e}.{name}.weight"] for name in names)
        assert (packed[f"{path}.gate_up_proj"][e] == np.concatenate([gate, up])).all()
        assert (packed[f"{path}.down_proj"][e] == down).all()


def test_what_stays_in_float32():
    plan = fi.Plan.preset("deepseek")
    shapes = {"model.layers.1.mlp.gate.weight": (4, 8), "model.layers.1.mlp.gate.e_score_correction_bias": 4}
    assert {one.dtype for one in plan.resolve(shapes, dtype="bfloat16").values()} == {"float32"}


def test_tied_heads_have_two_names():
    for embedding, head in (("tok_embeddings", "output"), ("model.embed_tokens", "lm_head")):
        shapes = {f"{embedding}.weight": (9, 4), f"{head}.weight": (9, 4)}
        found = fi.Plan.preset("llama", tied=True).init(shapes, seed=0)
        assert found[f"{embedding}.weight"] is found[f"{head}.weight"]


def test_the_list_of_presets():
    lines = fi.Plan.presets()
    assert list(lines) == sorted(lines)
    assert lines["gpt2"].endswith("(n_layers, std=0.02, tied=True); transformers 5.24 modeling_gpt2.py:432-449")
    assert all(";" in line and "\n" not in line for line in lines.values())


@pytest.mark.parametrize(
    ("name", "variables", "words"),
    [
        ("lama", {}, "did you mean 'llama'"),
        ("gpt2", {}, "argument 'n_layers' must be given: preset 'gpt2' needs n_layers, got none"),
        ("nanochat", {"n_layers": 3}, "needs n_embd, got 'n_layers'"),
        ("gpt2", {"n_layer": 3}, "did you mean 'n_layers'"),
        ("gpt2", {"n_layers": 0}, "argument 'n_layers' must be an integer >= 1, got 0"),
        ("gpt2", {"n_layers": 2.5}, "argument 'n_layers' must be an integer"),
        ("gpt2", {"n_layers": 2, "std": "a"}, "argument 'std'"),
        ("gpt2", {"n_layers": 2, "std": -1}, "argument 'std'"),
        ("gpt2", {"n_layers": 2, "tied": 1}, "argument 'tied' must be True or False"),
        ("bert", {"padding_idx": -1}, "argument 'padding_idx' must be an integer >= 0"),
        ("olmo", {"method": "nrmal"}, "did you mean 'normal'"),
        ("olmo", {"method": "llama"}, "argument 'n_layers' must be given for method 'llama'"),
        ("llama", {"depth": "total"}, "argument 'n_layers' must be given for depth 'total'"),
        ("vit", {"method": "jax_nlhb"}, "argument 'n_classes' must be given"),
        ("lora", {"method": "gaussian"}, "argument 'r' must be given"),
        ("lora", {"method": "pissa"}, "argument 'method' must be one of"),
        (3, {}, "argument 'name'"),
    ],
)
def test_what_a_preset_lacks_is_named(name, variables, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        fi.Plan.preset(name, **variables)
    assert words in str(caught.value)
