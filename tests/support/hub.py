"""A hub of models on this machine, with the tiny checkpoints in it, and what is fetched from it."""

import json
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.engines import ROOT, environment
from tests.support.tiny_musicgen import REVISION


@pytest.fixture
def hub_cache(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    return lambda home: monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub")
    )


@contextmanager
def hub(home: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a home's repositories as the hub does; yield the address and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.answer()

        def do_HEAD(self) -> None:
            self.answer()

        def answer(self) -> None:
            body = self.found()
            self.send_response(200 if body is not None else 404)
            if body is None:
                self.send_header("X-Error-Code", self.lack())
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("ETag", f'"{zlib.crc32(self.path.encode())}"')
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        def found(self) -> bytes | None:
            if self.path.startswith("/api/models/"):
                repository, _, rest = self.path.removeprefix("/api/models/").partition("/tree/")
                if not rest:
                    repository, _, rest = repository.partition("/revision/")
                there = snapshot(home, repository).is_dir()
                return listing(home, repository, tree="/tree/" in self.path) if there else None
            repository, _, rest = self.path.removeprefix("/").partition("/resolve/")
            file = snapshot(home, repository) / rest.partition("/")[2]
            return file.read_bytes() if file.is_file() else None

        def lack(self) -> str:
            repository = self.path.removeprefix("/").partition("/resolve/")[0]
            there = snapshot(home, repository).is_dir()
            return "EntryNotFound" if there else "RepoNotFound"

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def snapshot(home: Path, repository: str) -> Path:
    return home / "hub" / f"models--{repository.replace('/', '--')}" / "snapshots" / REVISION


def listing(home: Path, repository: str, tree: bool) -> bytes:
    folder = snapshot(home, repository)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    files = [{"type": "file", "path": k, "size": v, "oid": "tiny"} for k, v in sizes.items()]
    siblings = [{"rfilename": name} for name in sizes]
    model = {"id": repository, "sha": REVISION, "siblings": siblings}
    return json.dumps(files if tree else model).encode()


def fetch(model: str, home: Path, endpoint: str, **more: str) -> str:
    """Fetch in a process of its own and return the sentence it fails with."""
    script = f"""
import sys, time
from bot.engine import weights
from bot.errors import OperatorError
time.sleep = lambda _: None  # the hub's library waits 23 s before it gives up
try:
    weights.of({model!r}).fetch({model!r})
except OperatorError as error:
    print(error)
assert "torch" not in sys.modules
"""
    online = {"HF_HUB_OFFLINE": "0"}  # which loading a model in this process would set
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(home, HF_ENDPOINT=endpoint, HF_HUB_DISABLE_XET="1", **online | more),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
