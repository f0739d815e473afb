"""Randomness by seed, while one operation of the plugin lasts.

Whoever knows the seed knows every key, so this can be had in one way only: a fixture of a running pytest asks for it.
There is no option, variable or URL by which any other program could, and between the plugin's operations this process,
a verifier under test included, has the operating system's randomness.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import math
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fusequote.epid import randomness
from fusequote.errors import UsageError
from fusequote.platform import epidfiles

__all__ = ["SeededEncryption", "Seeding"]

Draw = Callable[[int], bytes]
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
#: Odd primes below 2000: a candidate that one of them divides is not worth an exponentiation.
_SMALL = math.prod(n for n in range(3, 2000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2)))
_ROUNDS = 8


class Seeding:
    """Streams of bytes by seed: the n-th operation of a name always has the same, whatever was done in between.

    ``request`` is that of the fixture that asks; anything else raises :class:`UsageError`.
    """

    def __init__(self, request: pytest.FixtureRequest, seed: str):
        if not isinstance(request, pytest.FixtureRequest):
            raise UsageError("seeded randomness is for fixtures of pytest alone")
        #: The stream of the operation under way; outside of one, the operating system's randomness.
        self.draw: Draw = os.urandom
        self._seed = seed
        self._count: Counter[str] = Counter()

    def __repr__(self) -> str:
        return "Seeding(...)"

    @contextlib.contextmanager
    def operation(self, name: str) -> Iterator[None]:
        """What fusequote draws within comes from the stream of this operation: keys, ids, nonces, EPID's scalars."""
        number, self._count[name] = self._count[name], self._count[name] + 1
        draw = _stream(hashlib.sha256(f"{len(self._seed)}:{self._seed}/{name}/{number}".encode()).digest())
        with pytest.MonkeyPatch.context() as patch:
            for path, module in list(sys.modules.items()):
                if path.startswith("fusequote.") and path != __name__ and vars(module).get("secrets") is secrets:
                    patch.setattr(module, "secrets", _Secrets(draw))
            patch.setattr(self, "draw", draw)
            patch.setattr(randomness, "_draw", lambda _: int.from_bytes(draw(randomness.DRAW_SIZE), "big"))
            patch.setattr(rsa, "generate_private_key", functools.partial(_rsa_key, draw))
            patch.setattr(ec, "generate_private_key", functools.partial(_ec_key, draw))
            patch.setattr(epidfiles, "ec", _DeterministicEc())
            patch.setattr(x509, "random_serial_number", lambda: int.from_bytes(draw(20), "big") >> 1)
            yield


class SeededEncryption:
    """An RSA public key that encrypts with RSA-OAEP (RFC 8017 section 7.1.1, SHA-256) and drawn seeds."""

    def __init__(self, key: rsa.RSAPublicKey, seeding: Seeding):
        self._key, self._seeding = key, seeding

    def public_numbers(self) -> rsa.RSAPublicNumbers:
        """Of the key."""
        return self._key.public_numbers()

    def encrypt(self, message: bytes, padding: object) -> bytes:
        """As the key's own; ``padding`` is OAEP with SHA-256 and MGF1, the only one in use here."""
        size, numbers = self._key.key_size // 8, self._key.public_numbers()
        block = hashlib.sha256(b"").digest() + bytes(size - len(message) - 66) + b"\x01" + message
        seed = self._seeding.draw(32)
        masked = _xor(block, _mgf1(seed, len(block)))
        encoded = _xor(seed, _mgf1(masked, 32)) + masked
        return pow(int.from_bytes(encoded, "big"), numbers.e, numbers.n).to_bytes(size, "big")


class _Secrets:
    """In the place of the module of this name."""

    def __init__(self, draw: Draw):
        self.token_bytes = draw
        self.compare_digest = hmac.compare_digest

    def token_hex(self, size: int) -> str:
        return self.token_bytes(size).hex()

    def randbits(self, count: int) -> int:
        return int.from_bytes(self.token_bytes((count + 7) // 8), "big") >> -count % 8

    def randbelow(self, limit: int) -> int:
        return int.from_bytes(self.token_bytes((limit.bit_length() + 135) // 8), "big") % limit


class _DeterministicEc:
    """The module ``ec`` with ECDSA of RFC 6979."""

    ECDSA = staticmethod(functools.partial(ec.ECDSA, deterministic_signing=True))

    def __getattr__(self, name: str) -> Any:
        return getattr(ec, name)


def _stream(key: bytes) -> Draw:
    """HMAC-SHA-256 in counter mode; each call begins a block."""
    counter = 0

    def draw(size: int) -> bytes:
        nonlocal counter
        data = b""
        while len(data) < size:
            data += hmac.digest(key, counter.to_bytes(8, "big"), "sha256")
            counter += 1
        return data[:size]

    return draw


def _ec_key(draw: Draw, curve: ec.EllipticCurve, backend: object = None) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(draw(48), "big") % (_P256_ORDER - 1) + 1, curve)


def _rsa_key(draw: Draw, public_exponent: int, key_size: int, backend: object = None) -> rsa.RSAPrivateKey:
    e = public_exponent
    p, q = (_prime(draw, key_size // 2, e) for _ in range(2))
    p, q, d = max(p, q), min(p, q), pow(e, -1, math.lcm(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q)
    )  # fmt: skip
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _prime(draw: Draw, bits: int, e: int) -> int:
    """The next prime after a drawn number whose two highest bits are set, fit for the exponent ``e``."""
    candidate = int.from_bytes(draw(bits // 8), "big") | 3 << bits - 2 | 1
    while math.gcd(candidate, _SMALL) != 1 or math.gcd(candidate - 1, e) != 1 or not _is_prime(candidate):
        candidate += 2
    return candidate


def _is_prime(n: int) -> bool:
    """Miller and Rabin's test with the first primes as bases: n is drawn, not chosen against them."""
    twos = (n - 1 & 1 - n).bit_length() - 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19)[:_ROUNDS]:
        x = _power(base, n - 1 >> twos, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


try:
    from gmpy2 import powmod as _gmp_power

    def _power(base: int, exponent: int, modulus: int) -> int:
        return int(_gmp_power(base, exponent, modulus))
except ImportError:
    _power = pow


def _mgf1(seed: bytes, size: int) -> bytes:
    blocks = (hashlib.sha256(seed + i.to_bytes(4, "big")).digest() for i in range(-(-size // 32)))
    return b"".join(blocks)[:size]


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
