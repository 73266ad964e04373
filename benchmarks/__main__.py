"""All benchmarks: `python -m benchmarks` prints one table and writes `results.json`.

Those of a GPU are apart: `python -m benchmarks cuda`.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence

from benchmarks.report import Row, machine, show, write


def rows(bandwidth: float) -> Iterator[Row]:
    """Run everything, the quickest first."""
    from benchmarks import (
        cluster,
        decoding,
        footprint,
        history,
        load,
        quota,
        saving,
        scale,
        singing,
    )

    yield from asyncio.run(quota.rows())
    yield from history.rows()
    yield from load.rows()
    yield from scale.rows()
    yield from cluster.rows()
    yield from footprint.rows()
    yield from decoding.rows(bandwidth)
    yield from singing.rows()
    yield from saving.rows()


def main(arguments: Sequence[str]) -> int:
    """Return 1 where something that must be reached was not, 2 for what cannot begin."""
    match arguments:
        case []:
            return _all()
        case ["cuda", *options]:
            return _cuda(options)
    print("python -m benchmarks runs all; python -m benchmarks cuda those of a GPU.")
    return 2


def _all() -> int:
    found = []
    told, bandwidth = machine()
    for row in rows(bandwidth):
        found.append(row)
        print(f"{row.name}: {row.ratio:.2f}", flush=True)
    print("\n" + show(found, told))
    write(found, told)
    return int(not all(row.reached for row in found))


def _cuda(options: Sequence[str]) -> int:
    """Run those of a GPU, which need what MusicGen needs and nothing of the bot's."""
    try:
        from benchmarks.cuda import running
    except ImportError as problem:
        print(
            f"MusicGen's packages are not installed ({problem}): run `make setup ENGINE=musicgen`."
        )
        return 2
    return running.main(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
