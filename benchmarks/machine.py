"""Where a benchmark ran: a number without its machine, versions and load means nothing."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    """Date, processor, cores, load and versions, in two lines."""
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "transformers", "streamlit", "numpy")
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {processor()}, {os.cpu_count()} cores · "
        f"load {load}\npython {platform.python_version()}, {versions}"
    )


def processor() -> str:
    """The processor's name where the system tells it."""
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
