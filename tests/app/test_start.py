"""Starting the server: what it cannot start with is one sentence."""

import pytest

from app.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "port", "said"),
    [
        (["--help"], "8501", "takes no arguments, got '--help'; set HEADLAMP_HOST or PORT"),
        ([], "0", "PORT is '0'; give a number from 1 to 65535"),
        ([], "65536", "PORT is '65536'"),
        ([], "85 01", "PORT is '85 01'"),
    ],
)
def test_a_wrong_start_is_a_sentence(arguments, port, said, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PORT", port)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
