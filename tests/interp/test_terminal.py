"""python -m interp: the table shows the numbers of --json; problems are one sentence, code 2."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from interp.__main__ import main
from interp.result import Result

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "The cat sat; the cat slept."
UNTRAINED = ("--model", "untrained-sink_logit", "--prompt", PROMPT, "--seed", "3")


def run(*words: str, **env: str) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "interp", *words]
    full = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **env}
    return subprocess.run(
        command, cwd=ROOT, env=full, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def result() -> Result:
    """What --json prints, parsed."""
    done = run("heads", *UNTRAINED, "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    return Result.from_json(done.stdout)


def cells(row: str) -> list[float]:
    """The numbers of a table row, in order, its head's name left out."""
    return [float(x) for x in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e-?\d+)?(?!\w)", row)]


def expected(result: Result, key: str, layer: int, head: int) -> list[float]:
    """Value, interval, each control's value and interval, and n of one head."""
    score = result.score(key)
    found = [x[layer, head] for x in (score.value, score.low, score.high)]
    for control in score.controls:
        found += [x[layer, head] for x in (control.value, control.low, control.high)]
    return [float(f"{x:.3g}") for x in found] + [float(score.n[layer, head])]


@pytest.mark.parametrize(
    ("key", "words"),
    [("sink", ()), ("sink_slot", ("--metric", "sink_slot", "--weakest", "--top", "3"))],
)
def test_the_table_shows_the_same_numbers(result: Result, key: str, words: tuple) -> None:
    done = run("heads", *UNTRAINED, *words)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if re.match(r"L\d+H\d+ ", line)]
    value = result.score(key).value
    order = np.argsort(value.ravel() * (1 if words else -1), kind="stable")
    assert len(rows) == (3 if words else 10)
    verdicts = {1: "above null", -1: "below null", 0: "not separated"}
    for row, index in zip(rows, order, strict=False):
        layer, head = divmod(int(index), value.shape[1])
        name, numbers = row.split(maxsplit=1)
        assert name == f"L{layer}H{head}"
        assert cells(numbers.replace(" to ", " ")) == expected(result, key, layer, head)
        assert row.rstrip().endswith(verdicts[result.score(key).verdict()[layer, head]])
    text = " ".join(done.stdout.split())
    assert result.digest in text and result.score(key).n_of in text
    for control in result.score(key).controls:
        assert control.name in text
    for figure in result.figures:
        assert f"{figure.title}: {figure.value:.3g} {figure.unit}" in text


def test_json_names_what_was_asked(result: Result) -> None:
    assert result.probe == "sinks" and result.model == "untrained-sink_logit"
    assert result.request == {"ids": list(PROMPT.encode()), "seed": 3}
    assert result.score("sink").value.shape == (2, 8)


def test_probes_on_random_tokens_need_no_prompt() -> None:
    done = run("heads", "--model", "untrained-delta", "--probe", "induction", "--json")
    assert done.returncode == 0, done.stderr
    result = Result.from_json(done.stdout)
    assert result.probe == "induction" and result.request["length"] == 50
    assert (result.score("induction").n == 10).all()


PROBLEMS = [
    (("--model", "untrained-softmax"), "The prompt is empty"),
    (("--model", "untrained-softmax", "--prompt", "x" * 9000), "because the model's context"),
    (("--model", "untrained-softmax", "--prompt", "x y z", "--rows", "0"), "1 query row or more"),
    (("--model", "nowhere/nothing", "--prompt", "a"), "no model 'nowhere/nothing'"),
    ((*UNTRAINED, "--metric", "s1nk"), "sinks has no metric 's1nk'; choose one of sink, "),
    ((*UNTRAINED, "--top", "0"), "--top must be 1 or more, got 0"),
    (("--model", "untrained-linear", "--prompt", "abc", "--probe", "concentration"), "has 3."),
    (("--model", "untrained-linear", "--prompt", "a\udcff"), "lone surrogate (U+DCFF)"),
]


def check_problem(code: int, out: str, err: str, sentence: str) -> None:
    """Code 2, nothing on stdout, one sentence and no traceback on stderr."""
    line = err.strip().splitlines()[-1]
    assert code == 2 and out == "" and "Traceback" not in err
    assert line.startswith("headlamp: ") and sentence in line and err.count("headlamp:") == 1


@pytest.mark.parametrize(("words", "sentence"), PROBLEMS)
def test_problems_are_one_sentence(
    words: tuple, sentence: str, capsys: pytest.CaptureFixture
) -> None:
    code = main(["heads", *words])
    check_problem(code, *capsys.readouterr(), sentence)


@pytest.mark.parametrize(("words", "sentence"), [PROBLEMS[4], PROBLEMS[7]])
def test_problems_of_the_whole_process(words: tuple, sentence: str) -> None:
    done = run("heads", *words)
    check_problem(done.returncode, done.stdout, done.stderr, sentence)


def test_a_setting_that_is_no_number_is_a_sentence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HEADLAMP_MEMORY_BUDGET", "lots")
    code = main(["heads", *UNTRAINED])
    check_problem(code, *capsys.readouterr(), "HEADLAMP_MEMORY_BUDGET is 'lots'")
    monkeypatch.setenv("HEADLAMP_MEMORY_BUDGET", "16")
    code = main(["heads", "--model", "untrained-softmax", "--prompt", "x" * 900])
    check_problem(code, *capsys.readouterr(), "because the memory budget is 16 MiB")


@pytest.mark.parametrize("words", [(), ("heads", "--probe", "sink"), ("heads", "--top", "many")])
def test_words_that_are_none_of_the_commands(words: tuple, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert end.value.code == 2 and capsys.readouterr().err.startswith("usage: ")


def test_no_network_and_no_smollm2_is_a_sentence(tmp_path: Path) -> None:
    nowhere = dict(
        PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0", PIP_CONFIG_FILE="/dev/null"
    )
    done = run("heads", "--prompt", "hi", HEADLAMP_HOME=str(tmp_path), **nowhere)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("headlamp: could not download")
