"""The handshake of two nodes, sans-I/O: who they are, that both know the secret, and whether they talk.

    dialler                                 accepter
       hello    ------------------------->
                <-------------------------    hello
       proof    ------------------------->               judges the hello
                <-------------------------    verdict
       verdict  ------------------------->               judged as well
       done                                   done

A proof is an HMAC over both hellos as they were sent, nonces and all, and over the verdict that it comes with. So
nothing in them can be changed or sent a second time, and a refusal is known to come from a node of the cluster; only
`wrong_secret` cannot be proved. While the secret is being changed a node knows two: it proves both, and takes either.
Who came proves first: a node tells nobody an HMAC of its secret just because it was asked for.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from qcore.cluster.handshake.hello import Hello, Refusal

__all__ = ["Handshake", "Judge", "Proof", "Verdict"]

Judge = Callable[[Hello], Refusal | None]
"""Says why a node that has proved the secret is not talked to, None where it is."""

_Label = Literal[b"dialler", b"accepter", b"dialler's verdict"]


class Proof(msgspec.Struct, frozen=True):
    """That the dialler knows the secret: one HMAC for each that it knows."""

    macs: list[bytes]


class Verdict(msgspec.Struct, frozen=True):
    """Whether a side wants to talk, and its proof."""

    refusal: Refusal | None
    macs: list[bytes]


_encode = msgspec.msgpack.Encoder().encode
_decode_hello = msgspec.msgpack.Decoder(Hello).decode
_decode_proof = msgspec.msgpack.Decoder(Proof).decode
_decode_verdict = msgspec.msgpack.Decoder(Verdict).decode

_WRONG_SECRET = Refusal("wrong_secret", "the two nodes do not have the same cluster secret")


class Handshake:
    """One side of it. Bytes that came go into `receive`, what is to be sent comes out of `outgoing`.

    Args:
        dials: whether this side has dialled; it speaks first.
        own: what it says.
        secrets: the cluster secrets it knows, none or up to two; none is the same as an empty one.
        judge: asked once, about a node that has proved the secret.

    Attributes:
        peer: who the other side is; only to be trusted once `done`.
        done: whether both sides talk.
        refusal: why they do not.
        refused_by_peer: whether that is the other side's word.
        proved: whether the other side has proved to know the secret.
    """

    def __init__(self, dials: bool, own: Hello, secrets: Sequence[bytes], judge: Judge) -> None:
        self._dials = dials
        self._secrets = tuple(secrets) or (b"",)
        self._judge = judge
        self._hello = own
        self._own = _encode(own)
        self._theirs = b""
        self._next: Callable[[bytes], None] = self._take_hello
        self.outgoing: list[bytes] = [self._own] if dials else []
        self.peer: Hello | None = None
        self.done = False
        self.refusal: Refusal | None = None
        self.refused_by_peer = False
        self.proved = False

    @property
    def ended(self) -> bool:
        """Whether nothing more is expected."""
        return self.done or self.refusal is not None

    def receive(self, data: bytes) -> None:
        """Take the other side's next message; one that cannot be read is a refusal."""
        if self.ended:
            return
        try:
            self._next(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            self.refusal = Refusal("unreadable", f"the other side's handshake cannot be read: {str(exc)[:200]}")

    def data_to_send(self) -> list[bytes]:
        """What is to be sent now."""
        data, self.outgoing = self.outgoing, []
        return data

    # -- steps ---------------------------------------------------------------------------------------------

    def _take_hello(self, data: bytes) -> None:
        self.peer = _decode_hello(data)
        self._theirs = data
        if self._dials:
            self.outgoing.append(_encode(Proof(self._macs(b"dialler"))))
            self._next = self._take_verdict
        else:
            self._own = _encode(msgspec.structs.replace(self._hello, channel=self.peer.channel))
            self.outgoing.append(self._own)
            self._next = self._take_proof

    def _take_proof(self, data: bytes) -> None:
        self.proved = self._is_proof(_decode_proof(data).macs, b"dialler")
        if not self.proved:
            self.refusal = _WRONG_SECRET
            self.outgoing.append(_encode(Verdict(_WRONG_SECRET, [])))
            return
        self._give_verdict(b"accepter")
        self._next = self._take_last_verdict

    def _take_verdict(self, data: bytes) -> None:
        """The accepter's: it is told of this side's own only where it does not refuse."""
        if self._is_welcome(data, b"accepter"):
            self._give_verdict(b"dialler's verdict")
            self.done = self.refusal is None

    def _take_last_verdict(self, data: bytes) -> None:
        self.done = self._is_welcome(data, b"dialler's verdict")

    # -- parts of them -------------------------------------------------------------------------------------

    def _give_verdict(self, label: _Label) -> None:
        if self.peer is not None:
            self.refusal = self._judge(self.peer)
        self.outgoing.append(_encode(Verdict(self.refusal, self._macs(label, _encode(self.refusal)))))

    def _is_welcome(self, data: bytes, label: _Label) -> bool:
        verdict = _decode_verdict(data)
        self.proved = self._is_proof(verdict.macs, label, _encode(verdict.refusal))
        if verdict.refusal is not None:
            self.refusal, self.refused_by_peer = verdict.refusal, True
        elif not self.proved:
            self.refusal = _WRONG_SECRET
        return self.refusal is None

    def _macs(self, label: _Label, verdict: bytes = b"") -> list[bytes]:
        hellos = (self._own, self._theirs) if self._dials else (self._theirs, self._own)
        text = b"".join(len(part).to_bytes(4, "big") + part for part in (label, *hellos, verdict))
        return [hmac.digest(secret, text, hashlib.sha256) for secret in self._secrets]

    def _is_proof(self, macs: list[bytes], label: _Label, verdict: bytes = b"") -> bool:
        own = self._macs(label, verdict)
        return any(hmac.compare_digest(mac, expected) for mac in macs[:2] for expected in own)
