"""What a signing CPU says: the hash of an enclave and 64 bytes of its own choice, under the maker's certificate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

from cryptography import x509

from fusequote.arch import TargetInfo
from fusequote.ladder.certificates import der, key_in
from fusequote.ladder.computer import Program
from fusequote.ladder.rung import NotAccepted
from fusequote.ladder.signing_cpu import SigningCpu, signature_holds

__all__ = ["SignedStatement", "sign_for"]

_DOMAIN = b"FQ-EMUL-LADDER-SIGNED-HASH\0\0\0\0\0\0"
_MRENCLAVE, _DATA, _SIGNATURE = 32, 64, 64


@dataclass(frozen=True)
class SignedStatement:
    """MRENCLAVE 32 ‖ data 64 ‖ signature 64 ‖ certificate (DER)."""

    mrenclave: bytes
    data: bytes
    signature: bytes
    certificate: bytes

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Raises :class:`NotAccepted` for too few bytes."""
        end = _MRENCLAVE + _DATA + _SIGNATURE
        if len(raw) <= end:
            raise NotAccepted(f"a signed statement has more than {end} bytes, not {len(raw)}")
        return cls(raw[:32], raw[32:96], raw[96:end], raw[end:])

    def to_bytes(self) -> bytes:
        """As it travels."""
        return self.mrenclave + self.data + self.signature + self.certificate

    def digest(self) -> bytes:
        """What is signed, 32 bytes."""
        return hashlib.sha256(_DOMAIN + self.mrenclave + self.data).digest()

    def check(self, root: x509.Certificate, mrenclave: bytes, data: bytes) -> None:
        """Chain, signature, enclave, data. Raises :class:`NotAccepted` with the first that is wrong."""
        key = key_in(self.certificate, root)
        if not signature_holds(key, self.signature, self.digest()):
            raise NotAccepted("the signature is not the certified CPU's over this hash")
        if self.mrenclave != mrenclave:
            raise NotAccepted(f"another enclave: {self.mrenclave[:8].hex()}.. instead of {mrenclave[:8].hex()}..")
        if self.data != data:
            raise NotAccepted("the signature is good, but about other data than this session's")


def sign_for(cpu: SigningCpu, program: Program, data: bytes) -> bytes:
    """A statement about the enclave of ``program``, signed by its CPU.

    The unit takes no hash from the host: it has the enclave itself say what it is, by EREPORT within an entry, and
    signs what the chip answered. Raises what the chip refuses.
    """
    body = program.application.report(TargetInfo(), data).body
    unsigned = SignedStatement(body.mrenclave, body.reportdata, bytes(_SIGNATURE), der(cpu.certificate))
    return SignedStatement(
        body.mrenclave, body.reportdata, cpu.sign(unsigned.digest()), unsigned.certificate
    ).to_bytes()
