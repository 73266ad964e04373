"""Writes a tiny random MusicGen in the published format.

`python -m tests.support.tiny_musicgen DIR` writes it there.

With HF_HOME=DIR and HF_HUB_OFFLINE=1 the bot's engine and audiocraft itself load it under the
names of the released models. What a test may rely on is as released: 50 frames a second at 32 kHz,
4 codebooks (stereo 8) of 2048 with their delays, windows of 30 s, heads of 64, T5-base's width.
Everything else is as small as it goes, and the weights are random but always the same:

    DIR/hub/models--facebook--musicgen-small          its codec is in the checkpoint
    DIR/hub/models--facebook--musicgen-stereo-small   its codec is a reference to the next one
    DIR/hub/models--facebook--encodec_32khz
    DIR/hub/models--t5-base
    DIR/local                                         musicgen-small again, as a plain folder
    DIR/other                                         as local, but with another activation
    DIR/melody                                        as local, but a melody may steer it too
"""

import io
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REVISION = "0123456789abcdef0123456789abcdef01234567"
SEED = 20230608

CARD = 2048
DIM = 128
LAYERS = 2
T5_DIM = 768
CODEC_DIM = 16
CODEC_FILTERS = 4
CODEC_GAIN = 30.0
"""Makes the random codec about as loud as music."""

WORDS = """
warm lo-fi piano with rain on the window and a slow drum beat for the late hours of the evening
heavy techno bass line over a bright analogue synth arpeggio that builds into a loud drop
an acoustic folk guitar and a soft violin play a sad waltz while a choir hums far away
energetic rock with distorted guitars fast drums and a singing lead in the key of D minor
"""


T5_TINY: dict[str, Any] = {
    "vocab_size": 256,
    "d_kv": 8,
    "d_ff": 16,
    "num_layers": 1,
    "num_heads": 2,
}
T5_BASE: dict[str, Any] = {
    "vocab_size": 32128,
    "d_kv": 64,
    "d_ff": 3072,
    "num_layers": 12,
    "num_heads": 12,
}


def write_full_size(folder: Path) -> None:
    """Write musicgen-small alone, with random weights in the released size, for benchmarks."""
    layers = {"dim": 1024, "num_heads": 16, "num_layers": 24}
    settings = SMALL | {"transformer_lm": SMALL["transformer_lm"] | layers}
    codec = CODEC | {"seanet": CODEC["seanet"] | {"dimension": 128, "n_filters": 64}}
    small = _snapshot(folder / "hub", "facebook/musicgen-small")
    _save(small / "state_dict.bin", _language_model(settings), settings)
    _save(small / "compression_state_dict.bin", _codec(codec), codec)
    _t5(_snapshot(folder / "hub", "t5-base"), T5_BASE)


def write(folder: Path) -> None:
    """Write the models below `folder`, a Hugging Face home; raise OSError where it cannot be."""
    hub = folder / "hub"
    small = _snapshot(hub, "facebook/musicgen-small")
    _save(small / "state_dict.bin", _language_model(SMALL), SMALL)
    _save(small / "compression_state_dict.bin", _codec(CODEC), CODEC)
    stereo = _snapshot(hub, "facebook/musicgen-stereo-small")
    _save(stereo / "state_dict.bin", _language_model(STEREO), STEREO)
    _package(stereo / "compression_state_dict.bin", {"pretrained": "facebook/encodec_32khz"})
    _transformers_codec(_snapshot(hub, "facebook/encodec_32khz"))
    _t5(_snapshot(hub, "t5-base"), T5_TINY)
    shutil.copytree(small, folder / "local", dirs_exist_ok=True)
    shutil.copytree(small, folder / "other", dirs_exist_ok=True)
    other = SMALL | {"transformer_lm": SMALL["transformer_lm"] | {"activation": "relu"}}
    _save(folder / "other" / "state_dict.bin", _language_model(other), other)
    shutil.copytree(small, folder / "melody", dirs_exist_ok=True)
    _save(folder / "melody" / "state_dict.bin", _language_model(MELODY), MELODY)


SMALL: dict[str, Any] = {
    "device": "cuda",
    "dtype": "float32",
    "solver": "musicgen",
    "sample_rate": 32000,
    "channels": 1,
    "compression_model_checkpoint": "//pretrained/facebook/encodec_32khz",
    "compression_model_n_q": None,
    "interleave_stereo_codebooks": {"use": False, "per_timestep": False},
    "dataset": {"segment_duration": 30},
    "lm_model": "transformer_lm",
    "codebooks_pattern": {
        "modeling": "delay",
        "delay": {"delays": [0, 1, 2, 3], "flatten_first": 0, "empty_initial": 0},
    },
    "transformer_lm": {
        "dim": DIM,
        "num_heads": DIM // 64,
        "num_layers": LAYERS,
        "hidden_scale": 4,
        "n_q": 4,
        "card": CARD,
        "dropout": 0.0,
        "emb_lr": None,
        "activation": "gelu",
        "norm_first": True,
        "bias_ff": False,
        "bias_attn": False,
        "bias_proj": False,
        "past_context": None,
        "causal": True,
        "custom": False,
        "memory_efficient": True,
        "attention_as_float32": False,
        "layer_scale": None,
        "positional_embedding": "sin",
        "xpos": False,
        "checkpointing": "none",
        "weight_init": "gaussian",
        "depthwise_init": "current",
        "zero_bias_init": True,
        "norm": "layer_norm",
        "cross_attention": False,
        "qk_layer_norm": False,
        "qk_layer_norm_cross": False,
        "attention_dropout": None,
        "kv_repeat": 1,
        "two_step_cfg": False,
    },
    "classifier_free_guidance": {"training_dropout": 0.3, "inference_coef": 3.0},
    "attribute_dropout": {},
    "fuser": {
        "cross_attention_pos_emb": False,
        "cross_attention_pos_emb_scale": 1,
        "sum": [],
        "prepend": [],
        "cross": ["description"],
        "input_interpolate": [],
    },
    "conditioners": {
        "description": {
            "model": "t5",
            "t5": {
                "name": "t5-base",
                "finetune": False,
                "word_dropout": 0.3,
                "normalize_text": False,
            },
        }
    },
}

STEREO: dict[str, Any] = SMALL | {
    "channels": 2,
    "interleave_stereo_codebooks": {"use": True, "per_timestep": False},
    "codebooks_pattern": {
        "modeling": "delay",
        "delay": {"delays": [0, 0, 1, 1, 2, 2, 3, 3], "flatten_first": 0, "empty_initial": 0},
    },
    "transformer_lm": SMALL["transformer_lm"] | {"n_q": 8},
}

MELODY: dict[str, Any] = SMALL | {
    "fuser": SMALL["fuser"] | {"cross": [], "prepend": ["self_wav", "description"]},
    "conditioners": SMALL["conditioners"]
    | {
        "self_wav": {
            "model": "chroma_stem",
            "chroma_stem": {
                "sample_rate": 32000,
                "n_chroma": 12,
                "radix2_exp": 14,
                "argmax": True,
                "match_len_on_eval": False,
                "eval_wavs": None,
                "n_eval_wavs": 100,
                "cache_path": "/where/it/was/trained",
            },
        }
    },
}

CODEC: dict[str, Any] = {
    "device": "cuda",
    "solver": "compression",
    "sample_rate": 32000,
    "channels": 1,
    "compression_model": "encodec",
    "encodec": {
        "autoencoder": "seanet",
        "quantizer": "rvq",
        "sample_rate": "${sample_rate}",
        "channels": "${channels}",
        "causal": False,
        "renormalize": False,
    },
    "seanet": {
        "dimension": CODEC_DIM,
        "channels": "${channels}",
        "causal": "${encodec.causal}",
        "n_filters": CODEC_FILTERS,
        "n_residual_layers": 1,
        "ratios": [8, 5, 4, 4],
        "activation": "ELU",
        "activation_params": {"alpha": 1.0},
        "norm": "weight_norm",
        "norm_params": {},
        "kernel_size": 7,
        "residual_kernel_size": 3,
        "last_kernel_size": 7,
        "dilation_base": 2,
        "pad_mode": "constant",
        "true_skip": True,
        "compress": 2,
        "lstm": 2,
        "disable_norm_outer_blocks": 0,
        "decoder": {
            "trim_right_ratio": 1.0,
            "final_activation": None,
            "final_activation_params": None,
        },
        "encoder": {},
    },
    "rvq": {
        "n_q": 4,
        "q_dropout": False,
        "bins": CARD,
        "decay": 0.99,
        "kmeans_init": True,
        "kmeans_iters": 50,
        "threshold_ema_dead_code": 2,
        "orthogonal_reg_weight": 0.0,
        "orthogonal_reg_active_codes_only": False,
    },
}


def _snapshot(hub: Path, repository: str) -> Path:
    root = hub / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "refs" / "main").write_text(REVISION)
    snapshot = root / "snapshots" / REVISION
    snapshot.mkdir(parents=True, exist_ok=True)
    return snapshot


def _language_model(settings: dict[str, Any]) -> dict[str, Any]:
    """Build the language model without its T5, which is no part of a checkpoint."""
    import torch
    from audiocraft.models.builders import get_lm_model
    from omegaconf import OmegaConf

    torch.manual_seed(SEED)
    bare = settings | {"device": "cpu", "conditioners": None}
    state = get_lm_model(OmegaConf.create(bare)).state_dict()
    projection = torch.nn.Linear(T5_DIM, settings["transformer_lm"]["dim"])
    for name, tensor in projection.state_dict().items():
        state[f"condition_provider.conditioners.description.output_proj.{name}"] = tensor
    if "self_wav" in settings["conditioners"]:
        for name, tensor in _melody_conditioner(settings).state_dict().items():
            state[f"condition_provider.conditioners.self_wav.{name}"] = tensor
    return {name: tensor.half() for name, tensor in state.items()}


def _melody_conditioner(settings: dict[str, Any]) -> Any:
    from audiocraft.modules.conditioners import ChromaStemConditioner

    from bot.engine.musicgen.loading import without_stems

    chroma = settings["conditioners"]["self_wav"]["chroma_stem"] | {"cache_path": None}
    with without_stems():
        return ChromaStemConditioner(
            output_dim=settings["transformer_lm"]["dim"],
            duration=settings["dataset"]["segment_duration"],
            **chroma,
        )


def _codec(settings: dict[str, Any]) -> dict[str, Any]:
    import torch
    from audiocraft.models.builders import get_compression_model
    from omegaconf import OmegaConf

    torch.manual_seed(SEED)
    codec = get_compression_model(OmegaConf.create(settings | {"device": "cpu"}))
    _fill(codec)
    return dict(codec.state_dict())


def _transformers_codec(folder: Path) -> None:
    import torch
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(SEED)
    shape = EncodecConfig(
        target_bandwidths=[2.2],  # kbit/s: 4 codebooks of 11 bits, 50 times a second
        sampling_rate=32000,
        audio_channels=1,
        normalize=False,
        hidden_size=CODEC_DIM,
        num_filters=CODEC_FILTERS,
        upsampling_ratios=[8, 5, 4, 4],
        use_causal_conv=False,
        codebook_size=CARD,
        codebook_dim=CODEC_DIM,
    )
    codec = EncodecModel(shape)
    _fill(codec)
    codec.save_pretrained(folder)


def _fill(codec: Any) -> None:
    """Give the codebooks what training would have."""
    import torch

    for name, buffer in codec.named_buffers():
        if name.endswith(("embed", "embed_avg")):
            torch.manual_seed(SEED)
            buffer.normal_().mul_(CODEC_GAIN)
        elif name.endswith(("inited", "cluster_size")):
            buffer.fill_(1)


def _t5(folder: Path, shape: dict[str, Any]) -> None:
    import sentencepiece
    import torch
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS.strip().splitlines()),
        model_writer=model,
        vocab_size=80,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    T5Tokenizer.from_pretrained(folder).save_pretrained(folder)
    torch.manual_seed(SEED)
    T5EncoderModel(T5Config(d_model=T5_DIM, dropout_rate=0.1, **shape)).save_pretrained(folder)


def _save(file: Path, state: Mapping[str, Any], settings: dict[str, Any]) -> None:
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml(OmegaConf.create(settings))
    _package(file, {"best_state": dict(state), "xp.cfg": text})


def _package(file: Path, package: dict[str, Any]) -> None:
    import torch

    torch.save(package | {"version": "1.3.0", "exported": True}, file)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
