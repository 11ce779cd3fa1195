"""Prompts as typed or uploaded: what is accepted, and the sentence for what is not."""

import hashlib
import os
import re
import tempfile
from pathlib import PurePath

from models.home import home

MAX_BYTES = 2**20  # refused before tokenising: that takes a second or two per MiB


class PromptError(ValueError):
    """A prompt that cannot be used, in one sentence for the person who wrote it."""


def check(text: str) -> str:
    """The text unchanged, if it can be read at all.

    Raises PromptError for an empty prompt, one over MAX_BYTES, or one with lone surrogates.
    """
    if not text:
        raise PromptError("The prompt is empty; type a sentence.")
    if len(text) > MAX_BYTES:  # a character is a byte at least; this spares encoding gigabytes
        raise PromptError(too_long(len(text), "at least "))
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as problem:
        raise PromptError(
            f"Character {problem.start} of the prompt is a lone surrogate "
            f"(U+{ord(text[problem.start]):04X}), which is not text; remove it."
        ) from problem
    if size > MAX_BYTES:
        raise PromptError(too_long(size, ""))
    return text


def too_long(size: int, about: str) -> str:
    """The sentence for a prompt over the byte limit."""
    return (
        f"The prompt is {about}{size:,} bytes; the limit is {MAX_BYTES:,} bytes. "
        "Shorten it, or run it in pieces."
    )


def read_upload(name: str, data: bytes) -> str:
    """The prompt in an uploaded text file (UTF-8 with or without BOM, or UTF-16 with BOM).

    Raises PromptError for another suffix than .txt or .md, over MAX_BYTES, or bytes that are not
    text. The name is only ever looked at, never opened.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix not in {".txt", ".md"}:
        raise PromptError(
            f"{suffix or 'A file without a suffix'} is not read here; upload a .txt file."
        )
    if len(data) > MAX_BYTES:
        raise PromptError(too_long(len(data), ""))
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16") if utf16 else data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as problem:
        raise PromptError(
            f"Byte {problem.start} of the file (0x{data[problem.start]:02x}) is not "
            f"{'UTF-16' if utf16 else 'UTF-8'} text; save the file as UTF-8 and upload it again."
        ) from problem
    return check(text)


def too_many_tokens(tokens: int, limit: int, context: int, budget: int) -> str:
    """The sentence for a prompt over the token limit, and where the limit comes from."""
    reason = (
        f"the model's context is {context:,} tokens"
        if limit >= context
        else f"the memory budget is {budget // 2**20:,} MiB (HEADLAMP_MEMORY_BUDGET)"
    )
    return f"The prompt is {tokens:,} tokens; the limit is {limit:,}, because {reason}. Shorten it."


def keep(text: str) -> str:
    """Store a prompt under its own sha256 and return that; the same text is stored once."""
    data = text.encode("utf-8")
    name = hashlib.sha256(data).hexdigest()
    folder = home() / "prompts"
    folder.mkdir(exist_ok=True)
    if not (folder / name).exists():
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, folder / name)
    return name


def recall(name: str) -> str:
    """A stored prompt; raises PromptError for a name that is none, or not stored here."""
    if not re.fullmatch(r"[0-9a-f]{64}", name):
        raise PromptError("The link's prompt is not a digest of 64 hex digits; ask for a new link.")
    path = home() / "prompts" / name
    if not path.is_file():
        raise PromptError("The link's prompt is not stored on this server; ask for its text.")
    return path.read_bytes().decode("utf-8")  # read_text would turn \r\n into \n
