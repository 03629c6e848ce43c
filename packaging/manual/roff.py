"""The language of man pages: the few macros of man(7) that a page of ours needs."""

from __future__ import annotations

import re

__all__ = ["bold", "definition", "escape", "heading", "option_words", "paragraphs", "section"]

_LETTERS = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}


def escape(text: str) -> str:
    """Return text that troff prints as it is; a line that begins with a dot would be a macro."""
    shown = "".join(_LETTERS.get(letter, letter) for letter in text)
    return re.sub(r"(?m)^\.", r"\\&.", shown)


def bold(text: str) -> str:
    """Text that is typed as it stands."""
    return rf"\fB{escape(text)}\fR"


def section(title: str) -> str:
    """Heading of a part of the page."""
    return f".SH {escape(title.upper())}\n"


def heading(title: str) -> str:
    """Heading within a part."""
    return f'.SS "{escape(title)}"\n'


def paragraphs(text: str) -> str:
    """Text with blank lines between its paragraphs, in which line ends mean nothing; stands behind a heading."""
    found = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))
    return ".PP\n".join(f"{escape(part)}\n" for part in found if part)


def definition(term: str, text: str) -> str:
    """An item of a list; `term` is roff already, `text` is not. Its paragraphs stay apart."""
    found = [escape(" ".join(part.split())) for part in re.split(r"\n\s*\n", text.strip())]
    return f".TP\n{term}\n" + "\n.IP\n".join(found) + "\n"


def option_words(text: str) -> str:
    """``-f, --format [human|json]`` with the flags bold and what stands for a value slanted."""
    return re.sub(
        r"(?P<before>^|[\s,/])(?P<word>[^\s,/][^\s,]*?)(?=$|[\s,]|/-)",
        lambda m: m["before"] + (bold(m["word"]) if m["word"].startswith("-") else rf"\fI{escape(m['word'])}\fR"),
        text,
    )
