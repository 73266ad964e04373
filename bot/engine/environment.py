"""What the processes that the bot starts see of its environment."""

import os
import re

INHERITED = re.compile(
    "PATH|HOME|USER|LOGNAME|TZ|LANG|LANGUAGE|LC_.*|TMPDIR|TEMP|TMP|XDG_CACHE_HOME|XDG_RUNTIME_DIR"
    "|VIRTUAL_ENV|CC|PYTHON.*|LD_LIBRARY_PATH|LD_PRELOAD|MALLOC_.*|GLIBC_TUNABLES"
    "|HF_HOME|HF_HUB_.*|TRANSFORMERS_.*|AUDIOCRAFT_.*|TORCH.*|PYTORCH_.*|TRITON_.*"
    "|CUDA_.*|NVIDIA_.*|CUBLAS_.*|CUDNN_.*|HIP_.*|HSA_.*|ROCR_.*"
    "|OMP_.*|GOMP_.*|KMP_.*|MKL_.*|DNNL_.*|ONEDNN_.*|OPENBLAS_.*|NUMBA_.*"
)
"""Keys that Python, torch and their libraries heed."""


def engine_environment() -> dict[str, str]:
    """Return the environment of the engine's process: of this one only what it needs."""
    # HF_HUB_TOKEN fits as well, but what is gated is on disk by then: only `fetch` needs a secret.
    return {
        key: value
        for key, value in os.environ.items()
        if INHERITED.fullmatch(key) and "TOKEN" not in key
    }


def link_environment(*, token: bool) -> dict[str, str]:
    """Return the environment of the link's process: an engine's, and what Ray heeds.

    With a `token` Ray does nothing without it.
    """
    rays = {key: value for key, value in os.environ.items() if key.startswith("RAY_")}
    mode = {"RAY_AUTH_MODE": "token"} if token else {}
    return engine_environment() | rays | mode | {"RAY_USAGE_STATS_ENABLED": "0"}
