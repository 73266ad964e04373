"""Starts Python programs that import what takes long, in a second: `python -m tests.support.warm`.

A process imports that once, and does nothing else; each program is a fork of it, a child of the
process that asked for it, with its own arguments, environment and pipes.
"""

import ctypes
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO

from tests.support.processes import SHARED

LONG_TO_IMPORT = ("torch", "audiocraft.models", "bot.engine.repertoire")

PR_SET_CHILD_SUBREAPER = 36
"""Whether a process becomes the parent of its descendants' orphans. Source: prctl(2)."""


class Forked:
    """A process as `subprocess.Popen` starts it, with what tests need of that."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self.returncode: int | None = None

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def close(self) -> None:
        """Close the pipes and wait for the end."""
        with suppress(BrokenPipeError):  # of what it did not live to read
            self.stdin.close()
        self.stdout.close()
        self.wait()


class Warm:
    """The process that has imported, for programs with this environment."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._asks, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with answers:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warm", str(answers.fileno())],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[answers.fileno()],
            )
        SHARED.add(self.process.pid)

    def start(self, arguments: Sequence[str], environment: dict[str, str], stderr: int) -> Forked:
        """Start `python ARGUMENTS…`, of which the first two are `-m MODULE` or `-c CODE`."""
        (inside, stdin), (stdout, outside) = os.pipe(), os.pipe()
        order = json.dumps([arguments, environment]).encode()
        adopt(True)  # while it is orphaned
        try:
            socket.send_fds(self._asks, [order], [inside, outside, stderr])
            pid = int(self._asks.recv(99))
        finally:
            adopt(False)
            os.close(inside)
            os.close(outside)
        return Forked(pid, os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb"))

    def close(self) -> None:
        """Start no more."""
        self._asks.close()
        self.process.wait()


def adopt(orphans: bool) -> None:
    """Become the parent of what this process' descendants leave behind, or do so no longer."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(orphans), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def serve(asked: socket.socket) -> None:
    """Fork a program for each order, until there are no more; in a fork, run its program."""
    while True:
        order, files, _, _ = socket.recv_fds(asked, 2**20, 3)
        if not order:
            return
        reading, writing = os.pipe()
        if between := os.fork():
            os.close(writing)
            for file in files:
                os.close(file)
            with os.fdopen(reading) as numbers:
                number = numbers.read()
            os.waitpid(between, 0)  # now the program has the parent that it is to have
            asked.send(number.encode())
            continue
        if pid := os.fork():
            os.write(writing, str(pid).encode())
            os._exit(0)
        os.close(reading)
        os.close(writing)
        asked.close()
        arguments, environment = json.loads(order)
        run(arguments, environment, files)
        return


def run(arguments: Sequence[str], environment: dict[str, str], files: Sequence[int]) -> None:
    """Be the program of an order."""
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    kind, program, *more = arguments
    sys.argv = [program if kind == "-m" else kind, *more]
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    for name in LONG_TO_IMPORT:
        import_module(name)
    serve(socket.socket(fileno=int(sys.argv[1])))
