from __future__ import annotations

import json
from hashlib import blake2b

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.disk.checksummed import decode_checksummed, decode_formats, encode_checksummed, is_checksummed
from qcore.model.entry import LogId, Vote
from qcore.model.errors import Damaged, Newer

counters = st.integers(0, 2**64 - 1)


@given(st.builds(Vote, counters, counters, st.booleans()), st.sampled_from([0, 512]))
def test_what_is_sealed_is_unsealed(vote: Vote, size: int) -> None:
    data = encode_checksummed(vote, size)
    assert len(data) >= size
    assert decode_checksummed(data, Vote, "vote.json") == vote
    assert json.loads(data).items() >= {"format": 1, "term": vote.term}.items()


def test_every_flipped_byte_and_every_truncation_is_found() -> None:
    data = encode_checksummed(Vote(3, 65_536, True))
    broken = [data[:length] for length in range(len(data))]
    broken += [
        data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :] for at in range(len(data)) for bit in range(8)
    ]
    for each in broken:
        assert not is_checksummed(each)
        with pytest.raises(Damaged, match=r"n/vote\.json is damaged: expected one line of JSON that matches its check"):
            decode_checksummed(each, Vote, "n/vote.json")


def test_only_blanks_may_follow() -> None:
    data = encode_checksummed(Vote(3, 65_536, True))
    assert is_checksummed(data + b"   ")
    assert not is_checksummed(data + b" \0")
    assert not is_checksummed(data + b"\n")


def test_a_record_of_another_kind_is_damage() -> None:
    with pytest.raises(Damaged, match="expected the record LogId"):
        decode_checksummed(encode_checksummed(Vote(3, 65_536, True)), LogId, "purged.json")


@pytest.mark.parametrize(
    ("version", "text"), [(2, "written by a newer qcore"), (0, "expected format 1, found format 0")]
)
def test_another_format_is_refused_by_name(version: int, text: str) -> None:
    data = encode_checksummed(Vote(3, 65_536, True), format=version)
    with pytest.raises(Damaged, match=text):
        decode_checksummed(data, Vote, "vote.json")


class Formless(msgspec.Struct):
    term: int


def test_a_file_of_several_formats_is_read_by_the_one_it_has() -> None:
    kinds: dict[int, type[msgspec.Struct]] = {1: Formless, 2: Vote}
    for format, record in ((1, Formless(3)), (2, Vote(3, 65_536, True))):
        assert decode_formats(encode_checksummed(record, format=format), kinds, "node.json") == record
    with pytest.raises(Newer, match="it holds format 3, this version reads 2"):
        decode_formats(encode_checksummed(Formless(3), format=3), kinds, "node.json")


def test_a_sealed_object_without_a_format_is_damage() -> None:
    text = b'","term":3}\n'
    data = b'{"check":"' + blake2b(text, digest_size=8).hexdigest().encode() + text
    with pytest.raises(Damaged, match="expected a JSON object with a format"):
        decode_checksummed(data, Formless, "vote.json")
