"""Writes an ACE-Step in the layout of the 2B model's own repository, from one in diffusers'."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "diffusion_pytorch_model.safetensors"
RENAMED = {"proj_in_conv.": "proj_in.1.", "proj_out_conv.": "proj_out.1."}


def write(ace: Path, folder: Path) -> None:
    """Write what the model in `ace` would be there, with the other files that lie beside it."""
    own = folder / "acestep-v15-turbo"
    own.mkdir(parents=True)
    transformer = load_file(ace / "transformer" / WEIGHTS)
    conditions = load_file(ace / "condition_encoder" / WEIGHTS)
    silence = conditions.pop("silence_latent")
    torch.save(silence.transpose(1, 2).contiguous(), own / "silence_latent.pt")
    tensors = {f"decoder.{renamed(name)}": tensor for name, tensor in transformer.items()}
    tensors["null_condition_emb"] = conditions.pop("null_condition_emb")
    tensors |= {f"encoder.{name}": tensor for name, tensor in conditions.items()}
    tensors |= {"tokenizer.x": torch.zeros(2), "detokenizer.x": torch.zeros(2)}
    save_file(tensors, own / "model.safetensors")
    settings: dict[str, Any] = {}
    for part in ("condition_encoder", "transformer"):
        settings |= json.loads((ace / part / "config.json").read_text())
    settings |= {
        "architectures": ["AceStepConditionGenerationModel"],
        "auto_map": {"AutoModel": "modeling_acestep_v15_turbo.AceStepModel"},
    }
    settings["layer_types"] = ["sliding_attention", "full_attention"]
    (own / "config.json").write_text(json.dumps(settings))
    (own / "modeling_acestep_v15_turbo.py").write_text("raise SystemExit\n")
    shutil.copytree(ace / "vae", folder / "vae")
    text = Path(shutil.copytree(ace / "text_encoder", folder / "Qwen3-Embedding-0.6B"))
    shutil.copytree(ace / "tokenizer", text, dirs_exist_ok=True)
    said = json.loads((text / "config.json").read_text())
    (text / "config.json").write_text(json.dumps({**said, "architectures": ["Qwen3ForCausalLM"]}))
    planner = folder / "acestep-5Hz-lm-1.7B"
    planner.mkdir()
    (planner / "model.safetensors").write_bytes(b"large")


def renamed(name: str) -> str:
    """Return a transformer's tensor as it is called there."""
    for own, theirs in RENAMED.items():
        name = theirs + name.removeprefix(own) if name.startswith(own) else name
    return name
