"""make faults: python -m tests.faults [--kills 200] [--server 200] [--seed 1]."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import kills, server_kills


def main() -> int:
    """Print the counts; exit status 1 when a save was lost or torn, with its store left."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=kills.__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of a process that only saves")
    parser.add_argument("--server", type=int, default=200, help="of the server, beside a browser")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="headlamp-faults-"))
    broken: list[str] = []
    for count, run in (
        (asked.kills, lambda n: kills.run(folder / "store", "", n, asked.seed)),
        (asked.server, lambda n: server_kills.run(folder / "server", n, asked.seed)),
    ):
        if not count:
            continue
        start = time.monotonic()
        tally = run(count)
        print(f"{tally}; seed {asked.seed}, {time.monotonic() - start:.0f} s", flush=True)
        broken += [*tally.lost, *tally.half]
    if broken:
        print("\n".join([*broken, f"left as it is: {folder}"]), file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
