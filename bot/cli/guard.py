"""Keeps others of the same user, the engine above all, from reading the bot's own process."""

import ctypes
import sys

PR_SET_DUMPABLE = 4
"""From Linux's prctl(2)."""


def close() -> None:
    """Let nobody but root read this process' memory, or the environment that it was started with.

    Taking a secret out of `os.environ` leaves it in /proc. No debugger can attach from then on, and
    no core dump is written. On other systems than Linux nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
