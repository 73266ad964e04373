"""Codecs with random weights and the released codec's layout, as small as they go."""

import warnings
from typing import Any

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from audiocraft.models.encodec import EncodecModel, HFEncodecCompressionModel
    from audiocraft.modules.seanet import SEANetDecoder, SEANetEncoder
    from audiocraft.quantization.vq import ResidualVectorQuantizer

RATIOS = (8, 5, 4, 4)


def encodec(filters: int = 4, width: int = 16, bins: int = 64, **flags: Any) -> EncodecModel:
    """Return a codec of 50 frames a second at 32 kHz that is always the same."""
    torch.manual_seed(20230608)
    shape = {
        "channels": 1,
        "dimension": width,
        "n_filters": filters,
        "n_residual_layers": 1,
        "ratios": list(RATIOS),
        "lstm": 2,
        "norm": "weight_norm",
        "pad_mode": "reflect",
        "true_skip": True,
        **flags,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's old weight norm
        codec = EncodecModel(
            SEANetEncoder(**shape),
            SEANetDecoder(**shape, trim_right_ratio=1.0),
            ResidualVectorQuantizer(dimension=width, n_q=4, bins=bins),
            frame_rate=50,
            sample_rate=32000,
            channels=1,
        )
    for layer in codec.quantizer.vq.layers:
        layer._codebook.embed.normal_()
        layer._codebook.inited.fill_(1)
    return codec.eval()


def encodec_of_transformers() -> HFEncodecCompressionModel:
    """Return the same as transformers has it, in audiocraft's wrapping."""
    from transformers import EncodecConfig
    from transformers import EncodecModel as Own

    torch.manual_seed(20230608)
    shape = EncodecConfig(
        target_bandwidths=[1.2],  # kbit/s: 4 codebooks of 6 bits, 50 times a second
        sampling_rate=32000,
        audio_channels=1,
        normalize=False,
        hidden_size=16,
        num_filters=4,
        upsampling_ratios=list(RATIOS),
        use_causal_conv=False,
        codebook_size=64,
        codebook_dim=16,
    )
    own: Any = Own(shape)  # its parts are typed as modules of any kind
    for layer in own.quantizer.layers:
        layer.codebook.embed.normal_()
    return HFEncodecCompressionModel(own.eval())
