"""All benchmarks: `python -m benchmarks` prints one table and writes `results.json`."""

import asyncio
import sys
from collections.abc import Iterator

from benchmarks import decoding, footprint, history, load, quota, saving
from benchmarks.report import Row, machine, show, write


def rows(bandwidth: float) -> Iterator[Row]:
    """Run everything, the quickest first."""
    yield from asyncio.run(quota.rows())
    yield from history.rows()
    yield from load.rows()
    yield from footprint.rows()
    yield from decoding.rows(bandwidth)
    yield from saving.rows()


def main() -> int:
    """Return 1 where something that must be reached was not."""
    found = []
    told, bandwidth = machine()
    for row in rows(bandwidth):
        found.append(row)
        print(f"{row.name}: {row.ratio:.2f}", flush=True)
    print("\n" + show(found, told))
    write(found, told)
    return int(not all(row.reached for row in found))


if __name__ == "__main__":
    sys.exit(main())
