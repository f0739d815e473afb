"""An RSA key out of a process's memory, as root or a debugger would take it: by looking for a factor of its modulus.

OpenSSL keeps a private key's primes as numbers in little-endian order, whole and in the clear, as every library has to
while it signs. Linux shows a process its own memory in /proc/self/mem; root sees everybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import rsa

from fusequote.errors import EnvironmentProblem

__all__ = ["key_in_memory"]

_MAPS, _MEMORY = "/proc/self/maps", "/proc/self/mem"
_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ (\d+)\s*(\S*)")
#: Numbers are aligned to a machine word.
_WORD = 8
#: Bytes read at a time, and how large a mapping is looked at.
_PIECE = 1 << 22


def key_in_memory(modulus: int, exponent: int = 3) -> tuple[rsa.RSAPrivateKey | None, int]:
    """The private key of ``modulus`` and the address of its factor; without one, None and how many bytes were read.

    Raises :class:`EnvironmentProblem` where the memory cannot be read.
    """
    size, read = modulus.bit_length() // 16, 0
    try:
        with open(_MEMORY, "rb", buffering=0) as memory:
            for start, end in _writable():
                for at in range(start, end, _PIECE):
                    # Pieces overlap: a prime may lie across their border.
                    data = _read(memory, at, min(_PIECE + size, end - at))
                    read += len(data)
                    offset = _factor(data, size, modulus)
                    if offset is not None:
                        prime = int.from_bytes(data[offset : offset + size], "little")
                        return _key(prime, modulus // prime, exponent), at + offset
    except OSError as error:
        raise EnvironmentProblem(
            f"this process's own memory cannot be read: {error.strerror}",
            hint="this attack needs Linux with /proc",
        ) from error
    return None, read


def _writable() -> Iterator[tuple[int, int]]:
    """Private memory that is no file's: heap and anonymous mappings."""
    with open(_MAPS, encoding="ascii", errors="replace") as maps:
        found = [_LINE.match(line) for line in maps]
    for line in found:
        if line is not None and line[3] == "0" and (not line[4] or line[4] == "[heap]"):
            yield int(line[1], 16), int(line[2], 16)


def _read(memory, at: int, size: int) -> bytes:
    try:
        memory.seek(at)
        return memory.read(size) or b""
    except OSError:
        return b""  # a mapping that has gone meanwhile, or a guard page


def _factor(data: bytes, size: int, modulus: int) -> int | None:
    """Where a factor of ``size`` bytes begins: odd, and at least sqrt(2) times a power of two, as primes of RSA are."""
    last = len(data) - size
    if last < 0:
        return None
    tops = data[size - 1 :: _WORD]
    for match in re.finditer(rb"[\xb5-\xff]", tops):
        at = match.start() * _WORD
        if at <= last and data[at] & 1 and modulus % int.from_bytes(data[at : at + size], "little") == 0:
            return at
    return None


def _key(p: int, q: int, exponent: int) -> rsa.RSAPrivateKey:
    d = pow(exponent, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(exponent, p * q),
    )  # fmt: skip
    return numbers.private_key()
