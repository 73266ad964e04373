"""A cluster of Ray's on this machine, of which tests start and kill parts.

Its nodes have loopback addresses of their own. On 127.0.0.1 Ray would take another one. They belong
to a process that does what lines tell it: `python -m tests.support.ray_cluster`.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

import pytest

from tests.support.processes import children

TOKEN = "t" * 40
ROOT = Path(__file__).parents[2]

MEMORY = 80 * 2**20
"""Bytes of a node's store of objects, about the least that Ray takes."""

HEAD = 2


class Nodes:
    """A head without engines, and the nodes that joined it, by the last number of their address."""

    def __init__(self, process: "subprocess.Popen[str]", errors: IO[bytes]) -> None:
        """The process says on `errors` why it ended, if it should not have."""
        self._process, self._errors = process, errors
        self.address = self._answer()

    def add(self, last: int, engines: int, gpus: int = 0, **environment: str) -> None:
        """Let 127.0.0.(last) join, with room for so many engines, or with so many GPUs.

        Ray believes whatever it is told of them. In its `environment` what is empty is not set.
        """
        more = (f"{key}={value}" for key, value in environment.items())
        self._do("add", str(last), str(engines), str(gpus), *more)

    def kill(self, last: int) -> None:
        """Kill a node at once, with all that runs on it; the head is 127.0.0.2."""
        self._do("kill", str(last))

    def kill_brain(self) -> None:
        """Kill what the head knows the cluster by."""
        self._do("behead")

    def kill_raylet(self, last: int = HEAD) -> None:
        """Kill what a node takes part by, and the bot's machine by the head's."""
        self._do("handless", str(last))

    def _do(self, *words: str) -> None:
        assert self._process.stdin
        print(*words, file=self._process.stdin, flush=True)
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout
        while line := self._process.stdout.readline():
            if line.startswith(DONE):
                return line.removeprefix(DONE).strip()
        self._errors.seek(0)
        raise AssertionError(f"the cluster's process has ended: {self._errors.read()[-2000:]!r}")


DONE = "done: "


@pytest.fixture(scope="module")
def token() -> Iterator[None]:
    """What bots and clusters of a file have in their environments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@contextmanager
def cluster(port: int = 0) -> Iterator[Nodes]:
    """Run a cluster with a head for as long as the block."""
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.ray_cluster", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process,
    ):
        try:
            yield Nodes(process, errors)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait()


def main() -> None:
    """Run a cluster, and do what lines tell."""
    from ray.cluster_utils import Cluster

    (port,) = map(int, sys.argv[1:])
    cluster = Cluster()
    nodes: dict[int, Any] = {}

    def add(last: int, **more: Any) -> None:
        nodes[last] = cluster.add_node(
            wait=False,
            node_ip_address=f"127.0.0.{last}",
            num_cpus=1,
            object_store_memory=MEMORY,
            **more,
        )

    try:
        add(HEAD, include_dashboard=False, **({"gcs_server_port": port} if port else {}))
        print(DONE, cluster.address, flush=True)
        for line in sys.stdin:
            match line.split():
                case ["add", last, engines, gpus, *more]:
                    told = dict(each.split("=", 1) for each in more)
                    wanted = {key: value for key, value in {**os.environ, **told}.items() if value}
                    with patch.dict(os.environ, wanted, clear=True):
                        add(int(last), resources={"fantasia": int(engines)}, num_gpus=int(gpus))
                case ["kill", last]:
                    cluster.remove_node(nodes.pop(int(last)), allow_graceful=False)
                case ["behead"]:
                    nodes[HEAD].kill_gcs_server(check_alive=False)
                case ["handless", last]:
                    nodes[int(last)].kill_raylet(check_alive=False)
            print(DONE, flush=True)
    finally:
        for node in nodes.values():
            node.kill_all_processes(check_alive=False, allow_graceful=False)
            shutil.rmtree(node.get_session_dir_path(), ignore_errors=True)


def actors() -> list[int]:
    """Return the processes of all actors that run engines here, as tests of this process see."""
    return [
        each for each in _descendants(os.getpid()) if command_of(each).startswith("ray::Station")
    ]


def links() -> list[int]:
    """Return the processes of links that this one has."""
    return [each for each in children(os.getpid()) if "bot.engine.link" in command_of(each)]


def engines() -> list[int]:
    """Return the processes of engines below actors."""
    return [child for actor in actors() for child in children(actor)]


def opened(prefix: str) -> list[Path]:
    """Return the paths that actors hold open and whose names begin so."""
    links = (link for actor in actors() for link in Path(f"/proc/{actor}/fd").iterdir())
    return [path for path in (link.readlink() for link in links) if path.name.startswith(prefix)]


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def environment(process: int) -> str:
    """Return what a process was started with."""
    return Path(f"/proc/{process}/environ").read_text()


def command_of(process: int) -> str:
    """Return the command of a process, nothing if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _descendants(process: int) -> list[int]:
    found = children(process)
    return [*found, *(each for child in found for each in _descendants(child))]


if __name__ == "__main__":
    main()
