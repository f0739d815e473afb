"""AES-CMAC, the chip's random generator and the CPUSVN ratchet.

Sources: RFC 4493; docs/chip.md section 2; the instruction notes, section 6. AES itself is the `cryptography`
package's.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

_ECB = modes.ECB()
_COMPONENTS = 16
_TOP = 255


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-128-CMAC, 16 bytes (RFC 4493)."""
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


def above(svn: bytes, current: bytes) -> bool:
    """Whether a CPUSVN is above the current one: any of its 16 components is greater."""
    return any(asked > has for asked, has in zip(svn, current, strict=True))


class Generator:
    """``random16()`` of docs/chip.md section 2: a chain of CMAC keys, each forgotten as it is used."""

    def __init__(self, entropy: bytes, device_id: bytes):
        self._key = cmac(bytes(16), entropy + device_id)

    def random16(self) -> bytes:
        """16 random bytes."""
        answer = cmac(self._key, b"FQ-RNG-OUT" + bytes(6))
        self._key = cmac(self._key, b"FQ-RNG-NEXT" + bytes(5))
        return answer

    def mix(self, device_id: bytes) -> None:
        """What FUSE_MANUFACTURE does before it draws the root sealing key."""
        self._key = cmac(self._key, device_id)


class SvnChains:
    """The 16 walked chains: all that is left of the root provisioning key after boot.

    ``current`` is the chip's CPUSVN. A step of chain i is k := AES-CMAC(k, ``FQ-STEP`` || u8(i)); a chain
    has been walked 255 - SVN[i] steps, so that it can go down to an older SVN and never up.
    """

    def __init__(self, rpk: bytes, current: bytes):
        self.current = current
        starts = (cmac(rpk, b"FQ-SVN" + bytes([i])) for i in range(_COMPONENTS))
        self._chains = [_walk(k, i, _TOP - current[i]) for i, k in enumerate(starts)]

    def key(self, svn: bytes) -> bytes:
        """K(SVN), 16 bytes. Raises ValueError when ``svn`` is above the current one: callers check first."""
        if above(svn, self.current):
            raise ValueError("a chain cannot be walked upwards")
        walked = [_walk(k, i, self.current[i] - svn[i]) for i, k in enumerate(self._chains)]
        return cmac(walked[0], b"".join(walked[1:]))


def _walk(key: bytes, component: int, steps: int) -> bytes:
    """``steps`` steps of one chain.

    The message is shorter than a block, so a step is CMAC's short case: two AES blocks under the same key,
    L and AES(pad(message) XOR K2). Done on AES itself, because a boot walks up to 4,080 steps.
    """
    message = int.from_bytes((b"FQ-STEP" + bytes([component, 0x80])).ljust(16, b"\0"), "big")
    zero = bytes(16)
    for _ in range(steps):
        encrypt = Cipher(AES(key), _ECB).encryptor().update
        k2 = _double(_double(int.from_bytes(encrypt(zero), "big")))
        key = encrypt((message ^ k2).to_bytes(16, "big"))
    return key


def _double(x: int) -> int:
    """Multiplication by x in GF(2^128), as RFC 4493 2.3 makes its subkeys."""
    x <<= 1
    return x ^ (1 << 128 | 0x87) if x >> 128 else x
