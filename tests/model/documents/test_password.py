"""Password hashes: the format, that they verify and nothing else does, and that no text makes them expensive."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcore.model.documents.password import SALT_BYTES, hash_password, is_hash, verify_password

SALT = bytes(range(SALT_BYTES))


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def phc(text: str = "x", salt: bytes = SALT, ln: int = 4, r: int = 1, p: int = 1, length: int = 32) -> str:
    """A PHC string with other costs, made by the reference."""
    found = hashlib.scrypt(text.encode(), salt=salt, n=1 << ln, r=r, p=p, maxmem=1 << 30, dklen=length)
    return f"$scrypt$ln={ln},r={r},p={p}${encoded(salt)}${encoded(found)}"


def test_a_hash_is_a_phc_string_and_the_same_for_the_same_salt() -> None:
    made = hash_password("open sesame", SALT)
    assert made == phc("open sesame", ln=15, r=8, p=3)
    assert made.startswith("$scrypt$ln=15,r=8,p=3$AAECAwQFBgcICQoLDA0ODw$")
    assert "=" not in made.rpartition("p=3")[2]
    assert hash_password("open sesame", bytes(SALT_BYTES)) != made


@settings(max_examples=5)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.binary(min_size=1, max_size=32))
def test_a_hash_verifies_its_password(text: str, salt: bytes) -> None:
    made = hash_password(text, salt)
    assert verify_password(made, text)
    assert not verify_password(made, text + "x")


@pytest.mark.parametrize("text", ["", "x", " ", "X", "é", "e\u0301", "\U0001f600" * 1000])
def test_only_the_same_text_verifies(text: str) -> None:
    made = phc(text)
    assert [other for other in ["", "x", " ", "X", "é", "e\u0301"] if verify_password(made, other)] == (
        [text] if len(text) < 1000 else []
    )
    assert verify_password(made, text)


@pytest.mark.parametrize(
    "costs", [{"ln": 1}, {"ln": 14, "r": 8}, {"r": 9999}, {"p": 40}, {"length": 16}, {"length": 64}]
)
def test_hashes_with_other_costs_verify(costs: Any) -> None:
    assert verify_password(phc("x", **costs), "x")
    assert not verify_password(phc("x", **costs), "y")


@pytest.mark.parametrize(
    "costs",
    [
        "ln=17,r=1,p=1",
        "ln=24,r=1,p=1",
        "ln=20,r=8,p=1",
        "ln=18,r=8,p=2",
        "ln=15,r=8,p=9999",
        "ln=1,r=9999,p=9999",
        "ln=25,r=1,p=1",
        "ln=63,r=1,p=1",
        "ln=9999,r=9999,p=9999",
        "ln=99999999999999999999,r=1,p=1",
        "ln=4,r=99999,p=1",
        "ln=0,r=1,p=1",
        "ln=4,r=0,p=1",
        "ln=4,r=1,p=0",
        "ln=-4,r=1,p=1",
        "ln=4,r=1",
        "r=1,ln=4,p=1",
        "ln=4,r=1,p=1,p=1",
        "ln=4,r=1,p=1,x=1",
        "ln=4.0,r=1,p=1",
        "ln=٤,r=1,p=1",
        "ln=4 ,r=1,p=1",
        "ln,r,p",
        "",
    ],
)
def test_costs_that_are_hostile_or_none_never_verify(costs: str) -> None:
    parts = phc("x").split("$")
    parts[2] = costs
    assert not verify_password("$".join(parts), "x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$",
        "x",
        "$scrypt$",
        "$$$$",
        "$scrypt$ln=4,r=1,p=1$AAAA",
        "$scrypt$ln=4,r=1,p=1$AAAA$",
        "$scrypt$ln=4,r=1,p=1$A$AAAA",
        "$scrypt$ln=4,r=1,p=1$AAAA$A",
        "$scrypt$ln=4,r=1,p=1$é$AAAA",
        "$scrypt$ln=4,r=1,p=1$AAAA$\U0001f600",
        "$scrypt$ln=4,r=1,p=1$AAAA$A AA",
        "$argon2id$v=19$m=65536,t=3,p=4$AAAA$AAAA",
        phc("x") + "$",
        phc("x").replace("$scrypt", "$Scrypt"),
        phc("x")[1:],
        "$" + phc("x"),
        phc("x")[:-1] + ("A" if phc("x")[-1] != "A" else "E"),
    ],
)
def test_what_is_no_hash_never_verifies(text: str) -> None:
    assert not verify_password(text, "x")
    assert not verify_password(text, "")


@pytest.mark.parametrize(("salt", "length"), [(16, 65), (16, 1_000_000), (65, 32), (5_000_000, 32)])
def test_salts_and_hashes_longer_than_any_needs_are_not_computed(salt: int, length: int) -> None:
    text = f"$scrypt$ln=1,r=9999,p=1${encoded(b'a' * salt)}${encoded(b'a' * length)}"
    assert not verify_password(text, "x")
    assert not verify_password(phc("x", salt=b"a" * salt, length=length), "x")


@given(
    st.text(max_size=60) | st.text("$scryptln=4,rp1AZ+/", max_size=60).map(lambda text: "$scrypt$ln=4,r=1,p=1$" + text)
)
def test_any_text_is_answered(text: str) -> None:
    assert not verify_password(text, "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (hash_password("x", b"0123456789abcdef"), True),
        ("$scrypt$ln=99,r=1,p=1$YWJj$ZGVm", True),
        ("$scrypt$ln=15,r=8,p=3$YWJj$", False),
        ("$scrypt$ln=15", False),
        ("a $scrypt$ln=15,r=8,p=3$YWJj$ZGVm", False),
        ("", False),
    ],
)
def test_a_hash_is_known_by_its_form(text: str, expected: bool) -> None:
    assert is_hash(text) is expected
