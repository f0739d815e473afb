"""SIGSTRUCTs: made, checked, and forged in every way that has fooled a verifier."""

import dataclasses
import hashlib
import secrets
from datetime import date

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from fusequote.arch import PADDING_352, AttributeFlags, SgxStatus, SigStruct
from fusequote.enclave import (
    SigStructInvalid,
    generate_signing_key,
    mrenclave,
    sample_image,
    sign_image,
    sign_sigstruct,
    sigstruct_for,
    verify_sigstruct,
)
from fusequote.enclave.signing import quotients
from fusequote.errors import UsageError

R = 1 << 3072
DAY = date(2026, 11, 23)


@dataclasses.dataclass
class Signed:
    key: rsa.RSAPrivateKey
    sigstruct: SigStruct

    @property
    def n(self):
        return self.key.public_key().public_numbers().n


@pytest.fixture(scope="module")
def signed():
    key = generate_signing_key()
    return Signed(key, sign_image(sample_image(), key, isvprodid=3, isvsvn=7, day=DAY))


def number(field):
    return int.from_bytes(field, "little")


def field(value):
    return value.to_bytes(384, "little")


def em(sigstruct):
    return int.from_bytes(PADDING_352 + hashlib.sha256(sigstruct.signed_message()).digest(), "big")


def refused(sigstruct):
    with pytest.raises(SigStructInvalid) as caught:
        verify_sigstruct(sigstruct)
    assert caught.value.exit_code == 10
    return caught.value.status


def test_a_signature_that_openssl_accepts_too(signed):
    s = signed.sigstruct
    verify_sigstruct(s)
    signed.key.public_key().verify(
        s.signature[::-1], s.signed_message(), padding.PKCS1v15(), hashes.SHA256()
    )
    n, sig = number(s.modulus), number(s.signature)
    assert n == signed.n and s.exponent == 3 and n.bit_length() == 3072
    assert number(s.q1) == sig * sig // n and number(s.q2) == (sig**3 - number(s.q1) * sig * n) // n
    assert s.mrsigner == hashlib.sha256(n.to_bytes(384, "little")).digest()


def test_the_draft_says_what_the_image_is():
    image = sample_image()
    draft = sigstruct_for(image, isvprodid=3, isvsvn=7, day=DAY, isvfamilyid=b"f" * 16, isvextprodid=b"e" * 16)
    assert draft.enclavehash == mrenclave(image)
    assert (draft.isvprodid, draft.isvsvn, draft.date, draft.vendor) == (3, 7, 0x20261123, 0)
    assert (draft.isvfamilyid, draft.isvextprodid) == (b"f" * 16, b"e" * 16)
    assert draft.attributes == image.secs.attributes
    assert draft.attributemask.flags == 2**64 - 1 - AttributeFlags.DEBUG and draft.attributemask.xfrm == 2**64 - 1
    assert sigstruct_for(image, allow_debug=False).attributemask.flags == 2**64 - 1
    assert draft.miscmask == 0xFFFFFFFF and draft.cet_attributes_mask == 0xFF


def test_keys_that_do_not_fit(signed):
    for exponent, bits in ((65537, 3072), (3, 2048)):
        with pytest.raises(UsageError, match="RSA-3072, exponent 3"):
            sign_sigstruct(signed.sigstruct, rsa.generate_private_key(exponent, bits))


@pytest.mark.parametrize("at", [*range(0, 20), *range(24, 40), *range(44, 128), *range(910, 912), *range(992, 1008),
                                *range(1028, 1040), *range(512, 516)])  # fmt: skip
def test_fixed_and_reserved_bytes(signed, at):
    raw = bytearray(signed.sigstruct.to_bytes())
    raw[at] ^= 0x40
    assert refused(SigStruct.from_bytes(bytes(raw))) == SgxStatus.SGX_INVALID_SIG_STRUCT


def test_both_vendors_are_allowed(signed):
    verify_sigstruct(sign_sigstruct(signed.sigstruct.replace(vendor=0x8086), signed.key))


@pytest.mark.parametrize("at", [20, 23, 40, 128, 511, 516, 899, 900, 904, 908, 909, 912, 928, 944, 960, 991, 1008, 1024,
                                1026, 1040, 1423, 1424, 1807])  # fmt: skip
@pytest.mark.parametrize("bit", [0, 7])
def test_every_other_field_is_bound(signed, at, bit):
    raw = bytearray(signed.sigstruct.to_bytes())
    raw[at] ^= 1 << bit
    assert refused(SigStruct.from_bytes(bytes(raw))) == SgxStatus.SGX_INVALID_SIGNATURE


def wraps_around(s):
    """The fatal verifier: the same equations modulo 2^3072."""
    n, sig, q1, q2 = (number(f) for f in (s.modulus, s.signature, s.q1, s.q2))
    t1 = (sig * sig - q1 * n) % R
    return (t1 * sig - q2 * n) % R == em(s)


def test_forgery_modulo_two_to_the_3072(signed):
    """No private key, anybody's modulus, any message: Q1 and Q2 solve the equations when these wrap around."""
    forged = signed.sigstruct.replace(isvsvn=0xFFFF, enclavehash=secrets.token_bytes(32))
    n = signed.n
    inverse = pow(n, -1, R)
    sig, t1 = secrets.randbelow(n), secrets.randbelow(n)
    q1 = (sig * sig - t1) * inverse % R
    q2 = (t1 * sig - em(forged)) * inverse % R
    forged = forged.replace(signature=field(sig), q1=field(q1), q2=field(q2))
    assert wraps_around(forged)
    assert refused(forged) == SgxStatus.SGX_INVALID_SIGNATURE


def cube_root(value):
    low, high = 0, 1 << (value.bit_length() // 3 + 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < value else (low, middle)
    return low


def test_forgery_by_cube_root(signed):
    """A parser that reads 00 01 FF.. 00 DigestInfo hash and ignores what follows takes a cube for a signature."""
    forged = signed.sigstruct.replace(isvsvn=0xFFFF)
    digest = hashlib.sha256(forged.signed_message()).digest()
    wanted = b"\x00\x01" + b"\xff" * 8 + PADDING_352[332:] + digest
    sig = cube_root(int.from_bytes(wanted.ljust(384, b"\0"), "big"))
    assert (sig**3).to_bytes(384, "big").startswith(wanted)
    q1, q2 = quotients(sig, signed.n)
    assert refused(forged.replace(signature=field(sig), q1=field(q1), q2=field(q2))) == SgxStatus.SGX_INVALID_SIGNATURE


def test_degenerate_numbers(signed):
    s = signed.sigstruct
    n, sig = signed.n, number(s.signature)
    zero = bytes(384)
    cases = [
        s.replace(modulus=zero),
        s.replace(signature=zero, q1=zero, q2=zero),
        s.replace(modulus=field(1), signature=zero, q1=zero, q2=zero),
    ]
    if sig + n < R:
        q1, q2 = quotients(sig + n, n)
        if q1 < R and q2 < R:
            cases.append(s.replace(signature=field(sig + n), q1=field(q1), q2=field(q2)))
    for case in cases:
        assert refused(case) == SgxStatus.SGX_INVALID_SIGNATURE


def test_a_quotient_one_too_small_is_refused(signed):
    """Mathematically sound, for t2 is still EM, but t1 is then in [N, 2N); honest signers never make it."""
    s = signed.sigstruct
    n, sig = signed.n, number(s.signature)
    q1 = number(s.q1) - 1
    q2 = ((sig * sig - q1 * n) * sig - em(s)) // n
    assert (sig * sig - q1 * n) * sig - q2 * n == em(s)
    assert refused(s.replace(q1=field(q1), q2=field(q2 % R))) == SgxStatus.SGX_INVALID_SIGNATURE
