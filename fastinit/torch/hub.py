"""`from_config`: a model of Hugging Face from its configuration, given memory once and drawn once."""

from __future__ import annotations

from typing import Any

from fastinit_kernels.machine.forks import whole

from ..weights.streams import check_seed
from ..words import needs, shown
from .allocation import allocate, is_untouched, listed
from .framework import torch
from .patching import Names, patched


def from_config(config: Any, *, seed: int, dtype: Any = None, device: Any = None, model_class: Any = None) -> Any:
    """Return a model of transformers with the weights that its own rules ask for, drawn by fastinit.

    The model is built on the meta device, given memory, and initialised by its `initialize_weights`, where
    `model_class(config)` draws everything twice; each parameter's stream is its name in the model.

    Parameters
    ----------
    config
        A configuration of transformers.
    seed
        0 <= seed < 2^64.
    dtype
        Of PyTorch, by name or as such; None for the configuration's, or the default one.
    device
        Where the model gets its memory; None for the default device.
    model_class
        None for the first of the configuration's `architectures`, or for the class of causal language models, or the
        bare model.

    Returns
    -------
    transformers.PreTrainedModel

    Raises
    ------
    TypeError
        No configuration, no dtype.
    RuntimeError
        Parameters or buffers that the model's own rules leave without values.

    Examples
    --------
    >>> import fastinit.torch, transformers  # doctest: +SKIP
    >>> config = transformers.LlamaConfig(num_hidden_layers=2)  # doctest: +SKIP
    >>> model = fastinit.torch.from_config(config, seed=0, dtype="bfloat16")  # doctest: +SKIP
    """
    with needs("transformers", extra="torch"):
        import transformers
    if not isinstance(config, transformers.PretrainedConfig):
        raise TypeError(f"argument 'config' must be a configuration of transformers, got {shown(config)}")
    kind = _model_class(transformers, config) if model_class is None else model_class
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise TypeError(f"argument 'model_class' must be a model's class of transformers, got {shown(kind)}")
    wanted = _dtype(dtype, config)
    names = Names(check_seed(seed))
    with patched(names):  # of layers that draw when they are made, too: on the meta device that costs us nothing
        model = _meta_model(kind, config, wanted)
        fresh = [(each, each.tensor, each.tensor._version) for each in allocate(model, device)]
        names.add(model)
        model.initialize_weights()
    left = [each.name for each, tensor, version in fresh if is_untouched(each, tensor, version)]
    if left:
        raise RuntimeError(f"{type(model).__name__} leaves tensors without values: {listed(left)}")
    return model


def _meta_model(kind: Any, config: Any, dtype: Any) -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            model = kind(config)
    finally:
        torch.set_default_dtype(before)
    config.dtype = dtype
    return model


def _model_class(transformers: Any, config: Any) -> Any:
    for name in getattr(config, "architectures", None) or ():
        if hasattr(transformers, name):
            return getattr(transformers, name)
    with whole:
        from transformers.models.auto import modeling_auto
    for mapping in (modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING, modeling_auto.MODEL_MAPPING):
        if type(config) in mapping:
            return mapping[type(config)]
    raise TypeError(f"argument 'model_class' must be given for {type(config).__name__}")


def _dtype(dtype: Any, config: Any) -> Any:
    found = getattr(config, "dtype", None) if dtype is None else dtype
    found = getattr(torch, found, None) if isinstance(found, str) else found
    if dtype is None and found is None:
        return torch.get_default_dtype()
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise TypeError(f"argument 'dtype' must be a floating type of PyTorch, got {shown(dtype)}")
    return found
