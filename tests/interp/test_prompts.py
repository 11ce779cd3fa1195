"""Prompts typed, uploaded, stored: exact limits, encodings, sentences that name the place."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp import prompts
from interp.adapters.own import Own
from interp.prompts import MAX_BYTES, PromptError, check, keep, read_upload, recall
from interp.subject import Subject

SIZE = 20_000_000
LIMIT = f"the limit is {MAX_BYTES:,} bytes"


def test_the_limit_is_a_mebibyte() -> None:
    assert MAX_BYTES == 1_048_576


@pytest.mark.parametrize("unit", ["a", "é", "€", "🙂"])
def test_limit_in_bytes_at_the_cap_and_one_over(unit: str) -> None:
    size = len(unit.encode())
    at_cap = unit * (MAX_BYTES // size) + "a" * (MAX_BYTES % size)
    assert check(at_cap) is at_cap
    with pytest.raises(PromptError, match=rf"is (at least )?{MAX_BYTES + 1:,} bytes; {LIMIT}"):
        check(at_cap + "a")


@pytest.mark.parametrize("cap", [MAX_BYTES - 1, MAX_BYTES, MAX_BYTES + 1])
def test_uploads_have_the_same_limit(cap: int) -> None:
    data = b"x" * cap
    if cap <= MAX_BYTES:
        assert read_upload("a.txt", data) == data.decode()
    else:
        with pytest.raises(PromptError, match=rf"{cap:,} bytes; {LIMIT}"):
            read_upload("a.txt", data)


@pytest.mark.parametrize("text", ["a" * SIZE, "\u202e" * SIZE, " " * SIZE, "\ud800" * SIZE])
def test_millions_of_characters_are_refused_at_once(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(PromptError, match="at least 20,000,000 bytes"):
        check(text)
    assert time.perf_counter() - started < 0.05


def test_an_empty_prompt_is_met_with_a_suggestion() -> None:
    with pytest.raises(PromptError, match="empty; type a sentence"):
        check("")
    for data in (b"", b"\xef\xbb\xbf", b"\xff\xfe"):
        with pytest.raises(PromptError, match="empty"):
            read_upload("a.txt", data)


@pytest.mark.parametrize("text", [" ", "\n\n", "\x00", "a\x00b", "\r\n \n\r", "\u202e", "<|end|>"])
def test_odd_text_is_text(text: str) -> None:
    assert check(text) == text
    assert read_upload("a.md", text.encode()) == text


@pytest.mark.parametrize(
    ("text", "at", "which"),
    [("\ud800", 0, "D800"), ("ab\udfffc", 2, "DFFF"), ("🙂\udc80", 1, "DC80")],
)
def test_lone_surrogates_are_named(text: str, at: int, which: str) -> None:
    with pytest.raises(PromptError, match=rf"Character {at} .* lone surrogate \(U\+{which}\)"):
        check(text)


def test_both_kinds_of_model_refuse_surrogates_by_name(own: Callable[..., Own]) -> None:
    with pytest.raises(PromptError, match="character 1 is a lone surrogate"):
        own().encode("a\ud800")


@pytest.mark.parametrize(
    "name", ["a.txt", "a.TXT", "b.md", "c.d.Md", "../../etc/x.txt", "\u202e.txt"]
)
def test_suffixes_that_are_read(name: str) -> None:
    assert read_upload(name, b"hi") == "hi"


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.pdf", ".pdf"), ("a.txt.exe", ".exe"), ("txt", "A file without a suffix"), ("", "A file"),
     ("a.csv", ".csv"), (".txt", "A file without"), ("a.txt ", ".txt ")],
)  # fmt: skip
def test_suffixes_that_are_not(name: str, said: str) -> None:
    with pytest.raises(PromptError) as problem:
        read_upload(name, b"hi")
    assert str(problem.value).startswith(said) and "upload a .txt file" in str(problem.value)


@pytest.mark.parametrize("text", ["héllo\r\nworld\x00", "🙂 ok"])
@pytest.mark.parametrize("bom", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_encodings(text: str, bom: str) -> None:
    data = text.encode(bom)
    data = b"\xfe\xff" + data if bom == "utf-16-be" else data
    assert read_upload("a.txt", data) == text


@pytest.mark.parametrize(
    ("data", "at", "byte"),
    [
        (b"\xff", 0, "ff"),
        (b"ab\x80c", 2, "80"),
        (b"caf\xc3", 3, "c3"),
        (b"\xed\xa0\x80", 0, "ed"),  # a surrogate in UTF-8 clothes
        (b"\xef\xbb\xbfab\xff", 5, "ff"),  # counted from the file's first byte, mark included
        (b"\xc0\xafx", 0, "c0"),
    ],
)
def test_bytes_that_are_not_utf8_are_counted(data: bytes, at: int, byte: str) -> None:
    assert data[at] == int(byte, 16)
    with pytest.raises(PromptError, match=rf"Byte {at} of the file \(0x{byte}\) is not UTF-8"):
        read_upload("a.txt", data)


@pytest.mark.parametrize(("data", "at"), [(b"\xff\xfea", 2), (b"\xfe\xff\x00a\xd8\x00\x00b", 4)])
def test_bytes_that_are_not_utf16_are_counted(data: bytes, at: int) -> None:
    with pytest.raises(PromptError, match=rf"Byte {at} .* is not UTF-16 text"):
        read_upload("a.txt", data)


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_one_sentence(data: bytes) -> None:
    try:
        text = read_upload("a.txt", data)
    except PromptError as problem:
        assert "\n" not in str(problem) and str(problem).endswith(".")
    else:
        text.encode("utf-8")
        marks = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
        assert data.startswith(marks) or text.encode() == data


def test_too_many_tokens_says_which_limit() -> None:
    words = prompts.too_many_tokens(3000, 2048, 2048, 2 * 2**30)
    assert "is 3,000 tokens; the limit is 2,048, because the model's context is 2,048" in words
    words = prompts.too_many_tokens(3000, 700, 2048, 64 * 2**20)
    assert "the limit is 700, because the memory budget is 64 MiB" in words


def test_tokenizers_see_the_text_as_it_is(own: Callable[..., Own], bridged: Subject) -> None:
    for text in ("a\x00b", " \r\n\t", "\u202eabc", "é🙂"):
        for subject in (own(), bridged):
            assert subject.decode(list(subject.encode(text).ids)) == text


@pytest.fixture
def stored(tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> object:
    """An empty home; gives the folder of kept prompts."""
    monkeypatch.setenv("HEADLAMP_HOME", str(tmp_path))
    return tmp_path / "prompts"


@pytest.mark.parametrize("text", ["hello", "a\r\nb\rc\nd\x00", "é🙂\u202e\u2028", " "])
def test_kept_prompts_come_back_byte_for_byte(stored: object, text: str) -> None:
    name = keep(text)
    assert recall(name) == text and len(name) == 64
    assert keep(text) == name and [file.name for file in stored.iterdir()] == [name]
    assert keep(text + "!") != name and recall(name) == text


@pytest.mark.parametrize(
    "name", ["", "x", "../" * 8 + "etc/passwd", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n"]
)
def test_names_that_are_no_digest_are_refused(stored: object, name: str) -> None:
    with pytest.raises(PromptError, match="not a digest of 64 hex digits"):
        recall(name)


def test_prompts_that_are_not_there_are_refused(stored: object) -> None:
    with pytest.raises(PromptError, match="not stored on this server"):
        recall("a" * 64)
