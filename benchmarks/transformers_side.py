"""MusicGen of transformers, in the small model's geometry with random weights."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

VOCABULARY, BEGIN = 2048, 2048


@cache
def _model() -> Any:  # noqa: ANN401
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
        logging,
    )

    logging.set_verbosity_error()
    special: dict[str, Any] = {
        "pad_token_id": BEGIN,
        "bos_token_id": BEGIN,
        "decoder_start_token_id": BEGIN,
    }
    decoder = MusicgenDecoderConfig(
        vocab_size=VOCABULARY,
        hidden_size=1024,
        num_hidden_layers=24,
        ffn_dim=4096,
        num_attention_heads=16,
        num_codebooks=4,
        dropout=0.0,
        **special,
    )
    words = T5Config(vocab_size=256, d_model=768, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    codec = EncodecConfig(
        target_bandwidths=[2.2],
        sampling_rate=32000,
        hidden_size=16,
        num_filters=4,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=VOCABULARY,
        codebook_dim=16,
    )
    shape = MusicgenConfig(text_encoder=words, audio_encoder=codec, decoder=decoder)
    model = MusicgenForConditionalGeneration(shape).eval()
    for name, token in special.items():
        setattr(model.generation_config, name, token)
    return model


@torch.no_grad()
def generate(place: int, steps: int, after_each: Callable[[], None]) -> None:
    """Draw tokens from a position on, and call back after each step."""

    def look(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        after_each()
        return scores

    _model().generate(
        input_ids=torch.randint(3, 200, (1, 12)),
        attention_mask=torch.ones(1, 12, dtype=torch.long),
        decoder_input_ids=torch.randint(0, VOCABULARY, (4, place)),
        guidance_scale=3.0,
        do_sample=True,
        top_k=250,
        max_new_tokens=steps,
        num_return_sequences=1,
        logits_processor=[look],
    )
