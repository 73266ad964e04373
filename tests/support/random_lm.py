"""Language models of any size with random weights and the released models' flags."""

import warnings
from typing import Any

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from audiocraft.models.lm import LMModel as LMModel  # benchmarks take it from here
    from audiocraft.modules.codebooks_patterns import DelayedPatternProvider
    from audiocraft.modules.conditioners import (
        ConditionFuser,
        ConditioningAttributes,
        ConditioningProvider,
        TextConditioner,
    )

MONO, STEREO = (0, 1, 2, 3), (0, 0, 1, 1, 2, 2, 3, 3)
LETTERS = 128


class Spelling(TextConditioner):  # type: ignore[misc]  # audiocraft has no types
    """Stands for T5: a random embedding per letter, padded and masked as T5's are."""

    def __init__(self, dim: int) -> None:
        super().__init__(8, dim)
        self.letters = torch.nn.Embedding(LETTERS, 8)

    def tokenize(self, texts: list[str | None]) -> tuple[torch.Tensor, torch.Tensor]:
        length = max(len(text or " ") for text in texts)
        tokens = torch.zeros(len(texts), length, dtype=torch.long)
        mask = torch.zeros(len(texts), length)
        for row, text in enumerate(texts):
            spelt = [ord(letter) % LETTERS for letter in text or ""]
            tokens[row, : len(spelt)] = torch.tensor(spelt, dtype=torch.long)
            mask[row, : len(spelt)] = 1
        return tokens, mask

    def forward(self, inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, mask = (each.to(self.letters.weight.device) for each in inputs)
        embedded = self.output_proj(self.letters(tokens))
        return embedded * mask[..., None].to(embedded), mask


def language_model(
    dim: int = 128,
    layers: int = 2,
    delays: tuple[int, ...] = MONO,
    card: int = 512,
    dtype: torch.dtype = torch.float64,
    **flags: Any,
) -> LMModel:
    """Return a model with heads of 64 that is always the same."""
    torch.manual_seed(20230608)
    ways: dict[str, list[str]] = {"cross": ["description"], "prepend": [], "sum": []}
    options: dict[str, Any] = {
        "norm": "layer_norm",
        "norm_first": True,
        "bias_proj": False,
        "bias_ff": False,
        "bias_attn": False,
        "activation": "gelu",
        "causal": True,
        "memory_efficient": True,
        "custom": False,
        "cross_attention": True,
        "dropout": 0.0,
    }
    model = LMModel(
        DelayedPatternProvider(n_q=len(delays), delays=list(delays)),
        ConditioningProvider({"description": Spelling(dim)}),
        ConditionFuser({**ways, "input_interpolate": []}),
        n_q=len(delays),
        card=card,
        dim=dim,
        num_heads=dim // 64,
        num_layers=layers,
        hidden_scale=4,
        **options | flags,
    )
    return model.eval().to(dtype)


def wish(text: str) -> ConditioningAttributes:
    """Return what audiocraft takes for a prompt."""
    return ConditioningAttributes(text={"description": text})


@torch.no_grad()
def understood(model: LMModel, text: str) -> torch.Tensor:
    """Return what the conditioner makes of a prompt, [tokens, dim]."""
    provider = model.condition_provider
    embedded, _ = provider(provider.tokenize([wish(text)]))["description"]
    understood: torch.Tensor = embedded[0]
    return understood
