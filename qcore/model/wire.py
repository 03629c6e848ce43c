"""JSON text as it goes over the wire and into files: one encoder and one generic decoder for all rooms."""

from __future__ import annotations

import msgspec

__all__ = ["decode_json", "encode_json"]

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode
