"""What a leader tells a blank node: that it may belong to the cluster, and as which generation of its id."""

from __future__ import annotations

import msgspec

__all__ = ["ADMISSION", "Offer", "decode_offer"]

ADMISSION = "admission"
"""The kind of question in which it is said."""


class Offer(msgspec.Struct, frozen=True):
    """To be generation `generation` of its node in `cluster`."""

    cluster: str
    generation: int

    def encode(self) -> bytes:
        """As MessagePack, to which later versions may add fields."""
        return msgspec.msgpack.encode(self)


_decode = msgspec.msgpack.Decoder(Offer).decode


def decode_offer(data: bytes) -> Offer:
    """Return the offer in these bytes.

    Raises:
        ValueError: they are none.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError as exc:
        raise ValueError(f"no offer: {exc}") from None
