"""Compressed member keys: A's x and a seed from which x and f are hashed (EPID spec section 13).

gid, A.x (32), seed (32): 80 or 68 bytes. The issuer makes them, so it knows f: they suit keys that are burnt
into a device, not a join.
"""

from __future__ import annotations

import hashlib
import secrets

from fusequote.epid.arithmetic import Arithmetic, default
from fusequote.epid.codec import need_size
from fusequote.epid.errors import EpidFormatError, EpidStatus, KeyCheckFailed
from fusequote.epid.issuer import Issuer
from fusequote.epid.keys import GroupPublicKey, MemberPrivateKey, check_member_key
from fusequote.epid.params import P, Q

SEED_SIZE = 32
_LABEL = b"ECC-SafeID"


def _from_seed(seed: bytes, first: int) -> int:
    """Two SHA-256 digests as one 512-bit integer, mod p. Always SHA-256, whatever the group's algorithm."""
    digests = (hashlib.sha256(seed + bytes([label]) + _LABEL).digest() for label in (first, first + 1))
    return int.from_bytes(b"".join(digests), "big") % P


def secrets_of_seed(seed: bytes) -> tuple[int, int]:
    """(x, f) of a 32-byte seed."""
    return _from_seed(seed, 6), _from_seed(seed, 8)


def expand(data: bytes, group: GroupPublicKey, arithmetic: Arithmetic | None = None) -> MemberPrivateKey:
    """The full key of a compressed one; of the two points with its x, the one that passes the key check.

    Raises EpidFormatError, GroupMismatch, KeyCheckFailed if neither does.
    """
    a, gid_size = arithmetic or default(), len(group.gid)
    status = EpidStatus.kEpidBadPrivKeyErr
    need_size(data, gid_size + 64, "compressed member key", status)
    gid, x_bytes, seed = data[:gid_size], data[gid_size : gid_size + 32], data[gid_size + 32 :]
    coordinate = int.from_bytes(x_bytes, "big")
    point = a.g1_from_x(coordinate) if coordinate < Q else None
    if point is None:
        raise EpidFormatError(
            "compressed member key: no point of G1 has this x", offset=gid_size, status=status
        )
    x, f = secrets_of_seed(seed)
    other = point[:32] + (Q - int.from_bytes(point[32:], "big")).to_bytes(32, "big")
    for A in (point, other):
        key = MemberPrivateKey(gid, A, x, f)
        try:
            check_member_key(group, key, a)
        except KeyCheckFailed:
            continue
        return key
    raise KeyCheckFailed("the compressed key is not one of this group")


def create(issuer: Issuer, seed: bytes | None = None) -> bytes:
    """A compressed key of a new member of ``issuer``'s group, from a fresh seed unless one is given (for tests)."""
    while True:
        chosen = secrets.token_bytes(SEED_SIZE) if seed is None else seed
        x, f = secrets_of_seed(chosen)
        credential = issuer.credential_for(x, f)
        if credential is not None:
            return issuer.group.gid + credential.A[:32] + chosen
        if seed is not None:
            raise EpidFormatError("compressed member key: this seed gives no key in this group")
