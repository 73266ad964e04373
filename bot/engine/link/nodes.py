"""What a cluster has room for: an engine on each GPU, or on each share of a node without one."""

import ipaddress
import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SHARE = "fantasia"
"""The resource that a node without a GPU is started with, one for each engine."""

PROBE_TIMEOUT = 1.0
"""Seconds in which a node answers, if there is somebody to answer."""


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """Where an engine goes: the node, its name, and which of how many engines it is there."""

    node: str
    label: str
    gpu: bool
    number: int
    count: int

    @property
    def name(self) -> str:
        """The engine's name."""
        return f"{self.label}/{'gpu' if self.gpu else 'cpu'}-{self.number}"

    @property
    def share(self) -> tuple[int, int] | None:
        """Which of how many shares of its node's cores it has, None on a GPU."""
        return None if self.gpu else (self.number, self.count)


def places(nodes: Iterable[Mapping[str, Any]]) -> set[EnginePlace]:
    """Return the places on the nodes that are alive, as `ray.nodes` tells of them."""
    alive = [node for node in nodes if node["Alive"]]
    names = Counter(node["NodeName"] for node in alive)
    found: set[EnginePlace] = set()
    for node in alive:
        number, name = node["NodeID"], node["NodeName"]
        label = name if names[name] == 1 else f"{name}-{number[:6]}"
        gpus = int(node["Resources"].get("GPU", 0))
        count = gpus or int(node["Resources"].get(SHARE, 0))
        found |= {EnginePlace(number, label, gpus > 0, each, count) for each in range(count)}
    return found


def on_loopback(address: str) -> bool:
    """Whether an address, or all that a name stands for, is reached from this machine alone."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(address, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in found)


def gone(node: Mapping[str, Any]) -> bool:
    """Whether nobody listens any more where a node did: Ray itself finds that out much later."""
    at = node["NodeManagerAddress"], node["NodeManagerPort"]
    try:
        socket.create_connection(at, PROBE_TIMEOUT).close()
    except ConnectionRefusedError:
        return True
    except OSError:  # it may only be slow
        return False
    return False
