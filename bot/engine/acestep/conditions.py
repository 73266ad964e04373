"""What a request says to the transformer: its words, encoded once, and what is there already."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from unicodedata import category

import torch

from bot.errors import JobError

if TYPE_CHECKING:
    from diffusers import AceStepPipeline

INSTRUMENTAL = "[Instrumental]"
"""The lyrics of what nobody sings (ACE-Step 1.5, `docs/en/INFERENCE.md`)."""

UNKNOWN_LANGUAGE = "unknown"
"""The language that the model finds out by itself."""

MOST_CAPTION_TOKENS, MOST_LYRIC_TOKENS = 256, 2048
"""What the pipeline cuts off beyond (`AceStepPipeline.encode_prompt`)."""

TIMBRE_SECONDS = 30
"""Of the sound that gives a timbre: silence, where none was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SongWords:
    """What somebody asks for: a style, lyrics and their language.

    `seconds` is the length that is told to the model.
    """

    style: str
    lyrics: str
    language: str
    seconds: float

    @classmethod
    def of(
        cls, style: str, lyrics: str | None, language: str | None, seconds: float
    ) -> "SongWords":
        """Return what a request says, nothing in it live: no marks of the model's own."""
        sung = _plain(lyrics or "").strip()
        spoken = language if sung and language else UNKNOWN_LANGUAGE
        return cls(
            style=_plain(style), lyrics=sung or INSTRUMENTAL, language=spoken, seconds=seconds
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the transformer hears, for one take.

    That is the `words` [1, tokens, width], `nothing`, which stands in their place for guidance, and
    the `context` [1, frames, channels of what is there already and of a mask of what is new].
    """

    words: torch.Tensor
    context: torch.Tensor
    nothing: torch.Tensor


def check_length(pipe: "AceStepPipeline", words: SongWords) -> None:
    """Raise JobError for more words than the model reads, with the number."""
    empty = SongWords(style="", lyrics="", language=words.language, seconds=words.seconds)
    frame, asked = _tokens(pipe, empty), _tokens(pipe, words)
    style = "prompt" if words.lyrics == INSTRUMENTAL else "style"
    for name, most, own, all_of_it in zip(
        (f"{style} is", "lyrics are"),
        (MOST_CAPTION_TOKENS, MOST_LYRIC_TOKENS),
        frame,
        asked,
        strict=True,
    ):
        if all_of_it > most:
            raise JobError(
                f"The {name} too long for the model: {all_of_it - own:,} tokens, and it reads "
                f"{most - own:,}. A token is about a short word or a syllable."
            )


@torch.inference_mode()
def conditions(
    pipe: "AceStepPipeline", words: SongWords, frames: int, kept: torch.Tensor
) -> Conditions:
    """Encode words for so many frames, the first of which are `kept` [frames, channels]."""
    device, dtype = kept.device, kept.dtype
    task = "repaint" if len(kept) else "text2music"
    text, text_mask, lyrics, lyrics_mask = pipe.encode_prompt(
        prompt=[words.style],
        lyrics=[words.lyrics],
        vocal_language=[words.language],
        audio_duration=words.seconds,
        instruction=pipe._get_task_instruction(task),
        device=device,
    )
    timbre, _ = pipe.prepare_src_latents(
        device, dtype, latent_length=round(TIMBRE_SECONDS * pipe.latents_per_second)
    )
    heard, _ = pipe.condition_encoder(
        text_hidden_states=text,
        text_attention_mask=text_mask,
        lyric_hidden_states=lyrics,
        lyric_attention_mask=lyrics_mask,
        refer_audio_acoustic_hidden_states_packed=timbre,
        refer_audio_order_mask=torch.arange(1, device=device),
    )
    silence, _ = pipe.prepare_src_latents(device, dtype, latent_length=frames)  # the model's own
    source = torch.cat([kept[None], silence[:, len(kept) :]], dim=1)
    new = torch.ones_like(source)
    new[:, : len(kept)] = 0.0
    return Conditions(
        words=heard,
        context=torch.cat([source, new], dim=-1),
        nothing=pipe.condition_encoder.null_condition_emb.to(dtype).expand_as(heard),
    )


def _tokens(pipe: "AceStepPipeline", words: SongWords) -> tuple[int, int]:
    """Return how many tokens the pipeline makes of a style and of lyrics."""
    texts = pipe._format_prompt(
        words.style, words.lyrics, words.language, audio_duration=words.seconds
    )
    style, lyrics = (len(pipe.tokenizer(text).input_ids) for text in texts)
    return style, lyrics


def _plain(text: str) -> str:
    """Return words without control characters, and without what the tokenizer takes for marks."""
    said = "".join(each for each in text if each == "\n" or category(each) not in ("Cc", "Cs"))
    return said.replace("<|", "< |")
