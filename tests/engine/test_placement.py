"""How many engines a machine gets, and what each sees: by a program that stands for nvidia-smi."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from bot.engine import host, placement
from bot.engine.children import Way, start
from bot.engine.environment import engine_environment
from bot.engine.placement import Placement, local, visible
from bot.errors import OperatorError
from tests.support.processes import environment_of

SKETCH = (sys.executable, "-m", "bot.engine.worker", "--engine", "sketch")

TWO = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000001)
GPU 1: Tesla T4 (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000002)
"""
FIRST, SECOND = (line.split("UUID: ")[1].rstrip(")") for line in TWO.splitlines())

DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000001)
  MIG 3g.20gb     Device  0: (UUID: MIG-33333333-aaaa-bbbb-cccc-000000000003)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-11111111-aaaa-bbbb-cccc-000000000001/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000002)
"""
PARTS = [line.split("UUID: ")[1].rstrip(")") for line in DIVIDED.splitlines()][1:]

TORCH = """
class device: ...
class cuda:
    def device_count():
        print("as torch prints\\nwhat nobody asked for")
        return {count}
    def get_arch_list():
        return ["sm_80", "compute_90"]
    def get_device_capability(place):
        return {capabilities}[place]
    def get_device_name(place):
        return ("NVIDIA H100", "Tesla T4")[place]
    def get_device_properties(place):
        class Properties:
            uuid = {ids}[place]
        return Properties
"""


def fake(count: int, oldest: int = 9) -> str:
    """Return a torch that counts so many GPUs, of which the last is of this compute capability."""
    ids = [uuid.removeprefix("GPU-") for uuid in (FIRST, SECOND)]
    capabilities = [(9, 0)] * (count - 1) + [(oldest, 0)]
    return TORCH.format(count=count, capabilities=capabilities, ids=[*ids, "", ""])


Machine = Callable[..., dict[str, str]]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with an nvidia-smi that does what a script says, or without one, and a torch."""
    library = find_spec("msgspec._core")  # any will do for CUDA's driver
    assert library
    assert library.origin
    (tmp_path / "libcuda.so.1").symlink_to(library.origin)

    def made(script: str | None, torch: str | int = 0, **environment: str) -> dict[str, str]:
        program = tmp_path / "nvidia-smi"
        program.unlink(missing_ok=True)
        if script is not None:
            program.write_text(f'#!/bin/sh\n[ "$*" = -L ] || exit 9\n{script}\n')
            program.chmod(0o755)
        (tmp_path / "torch.py").write_text(torch if isinstance(torch, str) else fake(torch))
        inherited = engine_environment()
        del inherited["OMP_NUM_THREADS"]
        here = str(tmp_path)
        code = f"{here}:{Path.cwd()}"
        paths = {"PATH": f"{here}:/bin", "PYTHONPATH": code, "LD_LIBRARY_PATH": here}
        # Of two torches of one length, written in one second, Python would load the first's code.
        paths["PYTHONDONTWRITEBYTECODE"] = "1"
        return {**inherited, **paths, **environment}

    return made


def says(text: str) -> str:
    return f"cat <<'END'\n{text}END"


def sees(placements: tuple[Placement, ...]) -> dict[str, str | None]:
    return {each.name: each.environment.get("CUDA_VISIBLE_DEVICES") for each in placements}


def test_each_gpu_has_an_engine_that_sees_it_alone(machine: Machine) -> None:
    found = local(None, "auto", machine(says(TWO)))
    assert sees(found) == {"gpu-0": FIRST, "gpu-1": SECOND}
    assert sees(local(1, "cuda", machine(says(TWO)))) == {"gpu-0": FIRST}


def test_of_a_divided_gpu_each_part_has_one(machine: Machine) -> None:
    found = local(None, "auto", machine(says(DIVIDED)))
    assert sees(found) == dict(zip(["gpu-0", "gpu-1", "gpu-2"], PARTS, strict=True))


@pytest.mark.parametrize(
    ("set_to", "left"),
    [
        ("1,0", ["1", "0"]),
        (" 1 ", ["1"]),
        (f"{SECOND},GPU-1111", [SECOND, "GPU-1111"]),
        (f"{PARTS[0]},{PARTS[1]}", PARTS[:2]),
        ("0,2,1", ["0"]),
        ("0,-1,1", ["0"]),
        ("0,GPU-9,1", ["0"]),
        ("0,", ["0"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,0", []),
    ],
)
def test_what_the_bot_itself_may_see_is_kept_entry_by_entry(
    machine: Machine, set_to: str, left: list[str]
) -> None:
    environment = machine(says(DIVIDED), CUDA_VISIBLE_DEVICES=set_to)
    assert list(visible(environment)) == left
    # A single one is what the child inherits anyway.
    expected = [None] if len(left) < 2 else left
    assert list(sees(local(None, "auto", environment)).values()) == expected


def test_one_gpu_and_a_cpu_have_one_engine_with_nothing_changed(machine: Machine) -> None:
    one = says(TWO.splitlines()[0] + "\n")
    # To ask torch of the only one would take seconds of every start.
    assert local(None, "auto", machine(one, fake(1, oldest=6))) == (Placement("gpu-0"),)
    assert local(None, "cpu", machine(says(TWO))) == (Placement("cpu-0"),)
    assert local(None, "auto", machine("echo No devices were found; exit 6")) == (
        Placement("cpu-0"),
    )


def test_a_gpu_that_torch_has_no_code_for_gets_no_engine(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """With DEVICE=auto its engine would be on the CPU, and take what the other ones could do."""
    old = fake(2, oldest=6)
    assert sees(local(None, "auto", machine(says(TWO), torch=old))) == {"gpu-0": FIRST}
    assert f"GPU {SECOND} gets no engine: this torch has no code for Tesla T4" in caplog.text
    turned = "".join(reversed(TWO.splitlines(keepends=True)))
    assert sees(local(None, "auto", machine(says(turned), torch=old))) == {"gpu-0": FIRST}
    by_number = machine(says(TWO), torch=old, CUDA_VISIBLE_DEVICES="1,0")
    assert sees(local(None, "auto", by_number)) == {"gpu-0": "1"}, "torch counts as it says"
    assert sees(local(None, "auto", machine(None, torch=old))) == {"gpu-0": "0"}
    with pytest.raises(OperatorError, match=r"ENGINES is 2, but .* is 1: set ENGINES=auto"):
        local(2, "auto", machine(says(TWO), torch=old))
    # It says why it cannot start, as ever.
    assert sees(local(None, "cuda", machine(says(TWO), torch=old))).keys() == {"gpu-0", "gpu-1"}
    none = old.replace("(9, 0)", "(6, 0)")
    assert local(None, "auto", machine(says(TWO), torch=none)) == (Placement("cpu-0"),)


@pytest.mark.parametrize(
    "script",
    [
        None,
        "exit 0",
        "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
        says(TWO) + "\nexit 15",
        r"printf '\377\376GPU 0: (UUID: \n'",
        "exec /nowhere/at-all",
    ],
)
def test_where_nvidia_smi_does_not_answer_torch_counts(machine: Machine, script: str) -> None:
    assert visible(machine(script, torch=2)) == ("0", "1")
    assert visible(machine(script, torch=1, CUDA_VISIBLE_DEVICES="5,9")) == ("5",)
    assert visible(machine(script, torch="raise ImportError")) == ()
    for said in ("", "print(9, flush=True); "):
        assert visible(machine(script, torch=f"import os; {said}os._exit(0)")) == ()


def test_one_that_cannot_be_run_is_as_good_as_none(
    machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environment = machine(None, torch=1)
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert visible(environment) == ("0",)
    assert "nvidia-smi cannot be run: Exec format error" in caplog.text


def test_what_hangs_is_waited_for_a_while(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken driver lets nvidia-smi hang, and its children hold on to what it writes to."""
    monkeypatch.setattr(placement, "LIST_TIMEOUT", 0.3)
    environment = machine("echo 'GPU 0: x (UUID: GPU-1)'; exec sleep 600", torch=3)
    assert visible(environment) == ("0", "1", "2")
    assert "nvidia-smi said nothing for 0.3 s" in caplog.text
    monkeypatch.setattr(placement, "TORCH_TIMEOUT", 0.3)
    assert visible(machine(None, torch="import time; time.sleep(600)")) == ()


def test_without_a_driver_torch_is_not_asked(machine: Machine) -> None:
    environment = machine(None, torch=2)
    del environment["LD_LIBRARY_PATH"]
    if "libcuda.so.1" in subprocess.check_output(["ldconfig", "-p"], text=True):
        pytest.skip("this machine has a driver")
    assert visible(environment) == ()


def test_more_engines_than_gpus_are_refused_with_both_numbers(machine: Machine) -> None:
    assert sees(local(2, "auto", machine(says(TWO)))) == {"gpu-0": FIRST, "gpu-1": SECOND}
    with pytest.raises(OperatorError) as told:
        local(3, "auto", machine(says(TWO)))
    assert str(told.value) == (
        "ENGINES is 3, but the number of GPUs that there are for it is 2: set ENGINES=auto for "
        "one engine on each."
    )
    with pytest.raises(OperatorError, match=r"ENGINES is 2, but .* is 0: set ENGINES=auto"):
        local(2, "cuda", machine(None))
    # It says so itself, as ever.
    assert local(None, "cuda", machine(None)) == local(1, "cuda", machine(None))


def test_engines_of_one_machine_divide_its_cores(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "cores", lambda: 8)
    threads = [each.environment["OMP_NUM_THREADS"] for each in local(3, "cpu", machine(None))]
    assert threads == ["3", "3", "2"]
    monkeypatch.setattr(host, "cores", lambda: 1)
    found = local(2, "auto", machine(None))
    assert [each.environment for each in found] == [{"OMP_NUM_THREADS": "1"}] * 2
    # What the operator says that each takes, each takes.
    own = machine(None, OMP_NUM_THREADS="4")
    assert local(2, "cpu", own) == (Placement("cpu-0"), Placement("cpu-1"))


def test_too_many_on_one_cpu_are_warned_of(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    three, gpus = local(3, "cpu", machine(None)), local(None, "auto", machine(says(TWO)))
    for cores, unwise in ((5, True), (6, False)):
        monkeypatch.setattr(host, "cores", lambda cores=cores: cores)
        assert bool(placement.unwise(three)) is unwise
    monkeypatch.setattr(host, "cores", lambda: 1)
    sentence = placement.unwise(three)
    assert sentence
    assert "3 engines share what there is of CPU cores (1), fewer than 2 each" in sentence
    assert placement.unwise(three[:1], 1e15) is placement.unwise(gpus, 1e15) is None


def test_weights_that_do_not_fit_so_often_are_warned_of(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "cores", lambda: 16)
    monkeypatch.setattr(host, "available", lambda: 9e9)
    two = local(2, "cpu", machine(None))
    assert placement.unwise(two, 4.4e9) is None
    assert placement.unwise(two, 4.6e9) == (
        "2 engines load the same weights 2 times: that takes at least 9.2 GB of memory, and 9.0 GB "
        "are left"
    )


def test_cores_are_those_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert host.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    siblings, group = tmp_path / "siblings{}", tmp_path / "cpu.max"
    monkeypatch.setattr(host, "TOPOLOGY", str(siblings))
    monkeypatch.setattr(host, "GROUP", tmp_path)
    assert host.cores() == 8
    for thread in range(8):
        Path(str(siblings).format(thread)).write_text(f"{thread % 4},{thread % 4 + 4}\n")
    assert host.cores() == 4
    for limit, cores in (("max 100000", 4), ("250000 100000", 2), ("50000 100000", 1)):
        group.write_text(limit)
        assert host.cores() == cores


async def test_the_child_has_it_in_its_environment(machine: Machine) -> None:
    environment = machine(says(TWO))
    for each, gpu in zip(local(None, "auto", environment), (FIRST, SECOND), strict=True):
        seen = {**engine_environment(), **each.environment}
        async with start(Way(command=SKETCH), seen) as running:
            await running.ready()
            assert running.pid
            assert environment_of(running.pid)["CUDA_VISIBLE_DEVICES"] == gpu
