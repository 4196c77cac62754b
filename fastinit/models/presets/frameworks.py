"""Defaults of frameworks: what their layers draw when nobody says anything."""

from __future__ import annotations

from .laws import TORCH_BIAS, TORCH_WEIGHT, XAVIER, normal, within
from .registry import Index, Rules, preset

_LINEAR = "Linear,LazyLinear,NonDynamicallyQuantizableLinear"
_CONV = "Conv1d,Conv2d,Conv3d,ConvTranspose1d,ConvTranspose2d,ConvTranspose3d"
_NORM = ",".join(
    ["LayerNorm", "RMSNorm", "GroupNorm", "SyncBatchNorm"]
    + [f"{kind}Norm{n}d" for kind in ("Batch", "Instance") for n in (1, 2, 3)]
)
# Gates of a recurrent layer: its tensors have that many times the hidden size in rows.
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@preset("torch", "PyTorch's modules, by role", "torch 2.13 nn/modules/*.py: reset_parameters")
def _torch() -> Rules:
    """Weights U(±1/sqrt(fan_in)), biases with the fan_in of their weight; shapes must say what is what.

    A transposed convolution is taken as PyTorch takes it, which reads its fan_in from the axis of its outputs.
    """
    rules: Rules = [
        ("**", {"role": f"{{{_LINEAR},{_CONV}}}.weight", **TORCH_WEIGHT}),
        ("**", {"role": f"{{Linear,LazyLinear,{_CONV},Bilinear}}.bias", **TORCH_BIAS}),
        ("**", {"role": "NonDynamicallyQuantizableLinear.bias", "scheme": "zeros", "note": "of attention's output"}),
        # Its bound counts the first of two inputs.
        ("**", {"role": "Bilinear.weight", **TORCH_WEIGHT, "layout": "oib"}),
        ("**", {"role": "{Embedding,EmbeddingBag}.weight", **normal(1.0)}),
        ("**", {"role": f"{{{_NORM}}}.{{weight,running_var}}", "scheme": "ones"}),
        ("**", {"role": f"{{{_NORM}}}.{{bias,running_mean,num_batches_tracked}}", "scheme": "zeros"}),
        ("**", {"role": "PReLU.weight", "scheme": "constant", "value": 0.25}),
        ("**", {"role": "MultiheadAttention.{in,q,k,v}_proj_weight", **XAVIER}),
        ("**", {"role": "MultiheadAttention.in_proj_bias", "scheme": "zeros"}),
        ("**", {"role": "MultiheadAttention.bias_[kv]", "scheme": "xavier_normal", "layout": "oi"}),
    ]
    for name, gates in _GATES.items():
        role = f"{{{name},{name}Cell}}.{{weight,bias}}_[ih]h*"
        rules.append(("**", {"role": role, **within(f"1 / sqrt(shape[0] / {gates})")}))
    return [*rules, ("**", {"role": "LSTM.weight_hr*", **within("1 / sqrt(shape[1])")})]


@preset("keras", "Keras's layers, by path", "keras 3 layers/*: kernel_initializer, bias_initializer …")
def _keras() -> Rules:
    """Glorot's uniform kernels, zero biases, embeddings U(±0.05), the forget gate's bias 1."""
    kernel = {"scheme": "xavier_uniform"}
    gates = [{"name": f"{{name}}.{gate}", "scheme": "ones" if gate == "f" else "zeros"} for gate in "ifco"]
    return [
        (f"re:{_OTHER.format('query|key|value|attention_output')}kernel", kernel),
        ("**/{query,key,value}/kernel", {"ndim": [2], **kernel}),
        ("**/{query,key,value}/kernel", {"ndim": 3, **kernel, "layout": "ioo"}),
        ("**/attention_output/kernel", {"ndim": [2], **kernel}),
        ("**/attention_output/kernel", {"ndim": 3, **kernel, "layout": "iio"}),
        ("**/{depthwise_kernel,pointwise_kernel}", kernel),
        ("**/recurrent_kernel", {"scheme": "orthogonal"}),
        (r"re:.*lstm_cell[_0-9]*/bias", {"segments": gates}),
        (r"re:(?!.*lstm_cell[_0-9]*/).*bias", "zeros"),
        ("**/embeddings", within(0.05)),
        ("**/{gamma,moving_variance,scale}", "ones"),
        ("**/{beta,moving_mean,alpha}", "zeros"),
        ("**/seed_generator_state", "skip"),
    ]


# The name of a parameter whose layer has none of some names.
_OTHER = r"(?!(?:.*[./])?(?:{})[./]).*\b"


@preset("flax", "Flax's layers, by path", "flax linen/linear.py: default_kernel_init, default_embed_init; attention.py")
def _flax() -> Rules:
    """LeCun's truncated normal kernels, embeddings N(0, 1/features), recurrent kernels orthogonal."""
    kernel = {"scheme": "lecun_normal", "truncated": True}
    recurrent = r"h[ifgorzn]?"
    return [
        (f"re:{_OTHER.format(f'query|key|value|out|{recurrent}')}kernel", kernel),
        (r"re:(?:.*[./])?(?:query|key|value|out)[./]kernel", {"ndim": [2, 4, 5], **kernel}),
        (r"re:(?:.*[./])?(?:query|key|value)[./]kernel", {"ndim": 3, **kernel, "layout": "ioo"}),
        (r"re:(?:.*[./])?out[./]kernel", {"ndim": 3, **kernel, "layout": "iio"}),
        (rf"re:(?:.*[./])?{recurrent}[./]kernel", {"scheme": "orthogonal"}),
        (r"re:(?:.*[./])?embedding", normal("1 / sqrt(shape[-1])")),
        (r"re:(?:.*[./])?(?:scale|var)", "ones"),
        (r"re:(?:.*[./])?(?:bias|mean)", "zeros"),
    ]


@preset("hf", "Transformers' default for any model", "transformers 5.24 modeling_utils.py:2304-2368")
def _hf(*, initializer_range: float = 0.02, padding_idx: Index | None = None, norm: float = 1.0) -> Rules:
    """Matrices, packed experts and routers N(0, initializer_range²), biases 0, norms 1.

    `norm=0` is for norms of 1 + weight, `padding_idx` the row of the embedding that is 0.
    """
    embedding = r"(?:.*[./])?(?:embed_tokens|word_embeddings|wte|shared|tok_embeddings|embeddings)\.weight"
    drawn = normal("initializer_range")
    rules: Rules = [
        (r"re:.*bias", {"ndim": 1, "scheme": "zeros"}),
        ("**.weight", {"ndim": 1, "scheme": "constant", "value": "norm"}),
    ]
    if padding_idx is None:
        return [*rules, ("**", {"ndim": [2, 3, 4, 5], **drawn})]
    padded = {**drawn, "set": {"[padding_idx]": 0}}
    return [*rules, (f"re:{embedding}", padded), (f"re:(?!{embedding}$).*", {"ndim": [2, 3, 4, 5], **drawn})]
