"""Hashes of EPID: to Fp and to G1 (EPID spec section 3), and the algorithm codes."""

from __future__ import annotations

import hashlib
from enum import IntEnum

from fusequote.epid.arithmetic import Arithmetic
from fusequote.epid.errors import EpidError, EpidStatus
from fusequote.epid.params import P, Q

#: The verifier of the SDK gives up after this many tries; the chance to get there is 2^-51.
G1_HASH_TRIES = 51


class HashAlg(IntEnum):
    """Hash algorithms with Intel's codes; 4, 5 and 6 are reserved for SHA-3 and refused."""

    SHA256 = 0
    SHA384 = 1
    SHA512 = 2
    SHA512_256 = 3

    @property
    def hash_name(self) -> str:
        """The algorithm's usual name: "SHA-256", "SHA-512/256" .."""
        return ("SHA-256", "SHA-384", "SHA-512", "SHA-512/256")[self]

    @property
    def digest_size(self) -> int:
        """Bytes of a digest."""
        return (32, 48, 64, 32)[self]

    @classmethod
    def from_code(cls, code: int) -> HashAlg:
        """The algorithm of a code in a gid; raises EpidError for one that is reserved or unknown."""
        try:
            return cls(code)
        except ValueError:
            what = "reserved for SHA-3" if code in (4, 5, 6) else "unknown"
            raise EpidError(
                f"hash algorithm code {code} is {what}", status=EpidStatus.kEpidHashAlgorithmNotSupported
            ) from None

    @classmethod
    def from_name(cls, name: str) -> HashAlg:
        """The algorithm called ``name``, in any spelling ("sha256", "SHA-512/256"); raises EpidError."""
        plain = "".join(c for c in name.lower() if c.isalnum())
        for alg in cls:
            if "".join(c for c in alg.hash_name.lower() if c.isalnum()) == plain:
                return alg
        raise EpidError(
            f"unknown hash algorithm {name!r}",
            status=EpidStatus.kEpidHashAlgorithmNotSupported,
            hint="use one of: " + ", ".join(alg.hash_name for alg in cls),
        )

    def digest(self, data: bytes) -> bytes:
        """The digest of ``data``."""
        return hashlib.new(("sha256", "sha384", "sha512", "sha512_256")[self], data).digest()


def fp_hash(alg: HashAlg, data: bytes) -> int:
    """Hash to Fp: the whole digest as a big-endian integer, mod p."""
    return int.from_bytes(alg.digest(data), "big") % P


def g1_hash_counted(alg: HashAlg, data: bytes, arithmetic: Arithmetic) -> tuple[bytes, int]:
    """Hash to G1 with the counter of the try that gave it (the split form sends it along).

    The root whose *Montgomery form* (times 2^256 mod q) is even is taken: a habit of Intel's library that
    every basename point depends on.
    """
    for i in range(G1_HASH_TRIES):
        x = int.from_bytes(alg.digest(i.to_bytes(4, "big") + data), "big") % Q
        point = arithmetic.g1_from_x(x)
        if point is not None:
            y = int.from_bytes(point[32:], "big")
            if (y << 256) % Q & 1:
                y = Q - y
            return point[:32] + y.to_bytes(32, "big"), i
    raise EpidError("no point of G1 within 51 tries", status=EpidStatus.kEpidRandMaxIterErr)


def g1_hash(alg: HashAlg, data: bytes, arithmetic: Arithmetic) -> bytes:
    """Hash to a point of G1, 64 bytes: how a basename becomes B. ``data`` may be empty."""
    return g1_hash_counted(alg, data, arithmetic)[0]


def device_challenge(alg: HashAlg, nonce: bytes, c: int) -> int:
    """The challenge as a split member's device changes it: HFp(nonce || pad || c), of the digest's length.

    EPID spec section 12; ``nonce`` has 32 bytes.
    """
    return fp_hash(alg, nonce + bytes(alg.digest_size - 32) + c.to_bytes(32, "big"))
