"""The Quoting Enclave of the third and fourth rung: checks REPORTs on its own chip, and signs for those outside.

On the third rung it only checks. On the fourth it has an ordinary key (ECDSA P-256), for which it proved to a service
on what CPU it runs; what it measures is this file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec

from fusequote.arch import Psvn, Report, ReportBody, TargetInfo
from fusequote.errors import FormatError
from fusequote.exchange.keys import sign, write_point
from fusequote.platform.entry import Enclave
from fusequote.platform.protocol import cmac, ppid_of, provision_request

__all__ = ["KeyRequestToService", "LadderQuote", "QuotingProgram", "possession_proof"]

_DOMAIN = b"FQ-EMUL-LADDER-KEY\0\0"
_SIGNATURE = 64


def possession_proof(provision_key: bytes, nonce: bytes, public_key: bytes) -> bytes:
    """What only this CPU, this enclave and the service can compute: 16 bytes over nonce and key."""
    return cmac(provision_key, _DOMAIN + nonce + hashlib.sha256(public_key).digest())


@dataclass(frozen=True)
class KeyRequestToService:
    """What the Quoting Enclave sends: whom it speaks for, at what TCB, its new public key (64 bytes), and the proof."""

    ppid: bytes
    psvn: Psvn
    public_key: bytes
    proof: bytes


@dataclass(frozen=True)
class LadderQuote:
    """REPORT body 384 ‖ signature r ‖ s 64 ‖ certificate (DER)."""

    body: ReportBody
    signature: bytes
    certificate: bytes

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Raises :class:`FormatError` for too few bytes."""
        end = ReportBody.SIZE + _SIGNATURE
        if len(raw) <= end:
            raise FormatError(f"a quote of the ladder has more than {end} bytes, not {len(raw)}")
        return cls(ReportBody.from_bytes(raw[: ReportBody.SIZE]), raw[ReportBody.SIZE : end], raw[end:])

    def to_bytes(self) -> bytes:
        """As it travels."""
        return self.body.to_bytes() + self.signature + self.certificate


@dataclass
class QuotingProgram:
    """The program that plays the enclave. ``certificate`` is the service's, once it has given one."""

    enclave: Enclave
    certificate: bytes = b""
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    @property
    def target_info(self) -> TargetInfo:
        """For EREPORT in the application."""
        return self.enclave.target_info

    def verify(self, report: Report) -> bool:
        """VERIFYREPORT: whether the REPORT was made for this enclave, on this chip, in this boot."""
        with self.enclave.entered() as inside:
            return inside.verify(report)

    def name(self, lowest: Psvn) -> bytes:
        """The name of this CPU to the service, 16 bytes: the same whatever its TCB."""
        with self.enclave.entered() as inside:
            return ppid_of(inside.key(provision_request(lowest)))

    def request(self, ppid: bytes, psvn: Psvn, nonce: bytes) -> KeyRequestToService:
        """A request for a certificate, with the proof that the CPU of this name is at the TCB ``psvn``.

        Raises :class:`~fusequote.errors.Refused` (key.*) for a TCB above the chip's.
        """
        public = write_point(self._key.public_key())
        with self.enclave.entered() as inside:
            key = inside.key(provision_request(psvn))
        return KeyRequestToService(ppid, psvn, public, possession_proof(key, nonce, public))

    def quote(self, report: Report) -> bytes | None:
        """A :class:`LadderQuote` of a REPORT that is good, None for any other."""
        if not self.verify(report):
            return None
        body = report.body
        return LadderQuote(body, sign(self._key, body.to_bytes()), self.certificate).to_bytes()
