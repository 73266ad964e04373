"""The process that writes music in other formats: `python -m bot.engine.files.encoding`.

It reads orders from its standard input, a line of JSON each, and answers each with a line: "" when
the file is there, or why it is not. It gives way to every other program, so that nothing that
renders is slowed down, and ends at once when its standard input does.
"""

import os
import resource
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import msgspec

from bot.engine.files.formats import Conversion, convert

ADDRESS_SPACE = 2**30
"""Bytes of address space that it may have; music is read and written block by block."""

LOWEST_PRIORITY = 19
"""The priority of a process that runs only when nothing else wants to."""


def main() -> None:
    """Answer orders until the input ends."""
    _prepare()
    orders: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    while True:
        sys.stdout.buffer.write(msgspec.json.encode(_answer(orders.get())) + b"\n")
        sys.stdout.buffer.flush()


def _prepare() -> None:
    """Load what is needed at normal priority, and then lower it."""
    import soundfile  # noqa: F401

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)
    with suppress(OSError):  # sessions share a processor evenly on Linux, unless they say otherwise
        Path("/proc/self/autogroup").write_text(str(LOWEST_PRIORITY))


def _listen(orders: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        orders.put(line)
    os._exit(0)  # nobody wants the current file any more


def _answer(line: bytes) -> str:
    order = msgspec.json.decode(line, type=Conversion)
    try:
        convert(Path(order.source), Path(order.target), order.kind, order.tags, order.part)
    except (OSError, MemoryError) as error:
        return str(error) or type(error).__name__
    return ""


if __name__ == "__main__":
    main()
