from __future__ import annotations

import pytest

from qcore_tools.cli.command import Command, take_options
from qcore_tools.cli.views import SCALAR
from qcore_tools.console import UsageError

PAINT = Command(
    ("PAINT",),
    "<what> [how] [--colour c] [--twice]",
    "",
    "",
    SCALAR,
    lambda args: {},
    "",
    {"--colour": True, "--twice": False},
)
PLAIN = Command(("PLAIN",), "<word>", "", "", SCALAR, lambda args: {})


@pytest.mark.parametrize(
    ("words", "rest", "options"),
    [
        ("wall", ["wall"], {}),
        ("--colour red wall", ["wall"], {"colour": "red"}),
        ("wall --colour=red", ["wall"], {"colour": "red"}),
        ("wall --colour= --twice", ["wall"], {"colour": "", "twice": ""}),
        ("wall -5", ["wall", "-5"], {}),
    ],
)
def test_options_may_stand_anywhere(words: str, rest: list[str], options: dict[str, str]) -> None:
    assert take_options(PAINT, words.split()) == (rest, options)


def test_a_command_without_options_takes_dashes_as_words() -> None:
    assert take_options(PLAIN, ["--colour"]) == (["--colour"], {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("wall --color red", "PAINT has no option '--color'; expected PAINT <what>"),
        ("wall --twice=yes", "PAINT has no option '--twice=yes'"),
        ("wall --colour", "--colour needs a value"),
    ],
)
def test_an_option_that_is_none_is_named(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        take_options(PAINT, words.split())


def test_options_do_not_count_as_words() -> None:
    PAINT.check(["wall", "well"])
    with pytest.raises(UsageError, match="given 3 words after PAINT"):
        PAINT.check(["wall", "well", "red"])
