"""A CPU that signs: the first two rungs' root of trust.

:class:`SigningCpu` is all that they need of it. There are two: the P-256 engine's RTL in Verilator, and a unit in
software.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature

from fusequote.ladder.certificates import Authority

__all__ = ["EmulatedSigningUnit", "EngineSigningUnit", "SigningCpu", "signature_holds"]


class SigningCpu(Protocol):
    """A CPU with a private key that never leaves it."""

    @property
    def certificate(self) -> x509.Certificate:
        """The maker's, for this CPU's key."""

    @property
    def where(self) -> str:
        """What and where the signing unit is, for people."""

    def sign(self, digest: bytes) -> bytes:
        """ECDSA P-256 over a SHA-256 digest (32 bytes): r ‖ s, 64 bytes, big-endian."""


class EmulatedSigningUnit:
    """The signing unit of a CPU, emulated in software outside the chip."""

    where = "a signing unit emulated in software, outside the chip: its key is in this process, not in fuses"

    def __init__(self, maker: Authority, device_id: bytes):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = maker.certify(f"emulated CPU {device_id.hex()}", self._key.public_key())

    def sign(self, digest: bytes) -> bytes:
        """As :meth:`SigningCpu.sign`."""
        r, s = decode_dss_signature(self._key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class EngineSigningUnit:
    """The signing unit of a CPU: the P-256 engine's RTL, simulated beside the chip.

    ``cache`` is the folder for its build, by default in the home folder; ``on_progress`` is told its steps. Raises
    :class:`ModuleNotFoundError` where the simulation is not installed; :meth:`sign` raises what the engine's process
    raises.
    """

    where = (
        "the P-256 engine's RTL in Verilator, beside the chip: its key is in this process, where a CPU has fuses; its "
        "nonces are this system's"
    )

    def __init__(
        self,
        maker: Authority,
        device_id: bytes,
        cache: str | None = None,
        on_progress: Callable[[str], None] | None = None,
    ):
        found = list(entry_points(group="fusequote.signing", name="p256"))
        if not found:
            raise ModuleNotFoundError("no signing engine is installed")
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_numbers().private_value.to_bytes(32, "big")
        self._unit = found[0].load()(private, cache=cache, on_progress=on_progress)
        self.certificate = maker.certify(f"emulated CPU {device_id.hex()}", key.public_key())

    @property
    def cycles(self) -> int | None:
        """Clock cycles of the last signature; None before it."""
        return self._unit.cycles

    def sign(self, digest: bytes) -> bytes:
        """As :meth:`SigningCpu.sign`."""
        r, s = self._unit.sign(digest)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signature_holds(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes) -> bool:
    """Whether these 64 bytes are the key's signature over a SHA-256 digest."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True
