"""python -m app: warm up, then serve on HEADLAMP_HOST and PORT (127.0.0.1:8501)."""

import ctypes
import os
import sys
from collections.abc import Sequence

os.environ.setdefault("TQDM_DISABLE", "1")
# A page message wakes the server loop, which then waits for the interpreter lock: 5 ms by default.
sys.setswitchinterval(0.001)

M_MMAP_THRESHOLD = -3  # malloc.h
LARGE = 8 * 2**20  # bytes of a block that goes back to the system when it is freed


def port() -> int:
    """PORT, or 8501; raises ValueError for what is not a port."""
    text = os.environ.get("PORT", "8501")
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError(f"PORT is {text!r}; give a number from 1 to 65535")
    return int(text)


def give_back_large_blocks() -> None:
    """Keep glibc's malloc from growing its heap with tensors; other C libraries are left alone.

    By default the heap takes in ever larger blocks (up to 32 MiB), and small results that outlive
    them keep all of it: 4,023 tokens of SmolLM2 grew the server by 1.16 GB, with this by 0.39 GB.
    """
    try:
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
    except (AttributeError, OSError):
        pass


def main(arguments: Sequence[str] = ()) -> int:
    """Start the server; problems are one sentence on stderr."""
    try:
        if arguments:
            raise ValueError(
                f"python -m app takes no arguments, got {arguments[0]!r}; set HEADLAMP_HOST or PORT"
            )
        number, address = port(), os.environ.get("HEADLAMP_HOST", "127.0.0.1")
        give_back_large_blocks()
        print("Headlamp: loading libraries ...", flush=True)
        from app.doors import answering, config, doors
        from app.server import build, warm_up

        opened = doors(os.environ, address)
        if opened.known:
            answering(opened.known)
        app = build(opened.known)
        warm_up(lambda words: print(f"Headlamp: {words}", flush=True))
    except ValueError as problem:
        print(f"headlamp: {problem}", file=sys.stderr)
        return 2
    if opened.warning:
        print(f"headlamp: {opened.warning}", file=sys.stderr, flush=True)
    print(
        f"Headlamp: open {opened.url or f'http://{address}:{number}'}  (stop with Ctrl+C)",
        flush=True,
    )
    app.run(config=config(opened, number, address))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
