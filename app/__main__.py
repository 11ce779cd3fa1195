"""python -m app: warm up, then serve on HEADLAMP_HOST and PORT (127.0.0.1:8501)."""

import os
import sys

os.environ.setdefault("TQDM_DISABLE", "1")
# A page message wakes the server loop, which then waits for the interpreter lock: 5 ms by default.
sys.setswitchinterval(0.001)

LOOPBACK = ("127.0.0.1", "localhost")


def port() -> int:
    """PORT, or 8501; raises ValueError for what is not a port."""
    text = os.environ.get("PORT", "8501")
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError(f"PORT is {text!r}; give a number from 1 to 65535")
    return int(text)


def main() -> int:
    """Start the server; problems are one sentence on stderr."""
    try:
        number, address = port(), os.environ.get("HEADLAMP_HOST", "127.0.0.1")
        print("Headlamp: loading libraries ...", flush=True)
        from app.server import build, warm_up

        app = build()
        warm_up(lambda words: print(f"Headlamp: {words}", flush=True))
    except ValueError as problem:
        print(f"headlamp: {problem}", file=sys.stderr)
        return 2
    print(f"Headlamp: open http://{address}:{number}  (stop with Ctrl+C)", flush=True)
    config = {"server.port": number, "server.address": address}
    if address in LOOPBACK:  # another site's page must not reach us under its own name
        config["server.allowedHosts"] = list(LOOPBACK)
    app.run(config=config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
