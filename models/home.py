"""Where Headlamp keeps what it downloads and saves: HEADLAMP_HOME, else the user's cache folder."""

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """The folder, made if it is missing."""
    path = Path(os.environ.get("HEADLAMP_HOME") or platformdirs.user_cache_dir("headlamp"))
    path = path.expanduser().resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path
