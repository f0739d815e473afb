"""SIGSTRUCT: made by a signer, checked as EINIT checks it (instruction notes 1.8, 3.2).

What is checked here helps people before they go to a chip. The chip believes nobody and does its own.
"""

from __future__ import annotations

from datetime import date

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fusequote.arch import HEADER, HEADER2, PADDING_352, VENDOR_INTEL, VENDOR_OTHER, Attributes, SigStruct, bcd_date
from fusequote.arch.attributes import AttributeFlags
from fusequote.arch.sigstruct import EXPONENT
from fusequote.arch.status import SgxStatus
from fusequote.enclave.image import Image
from fusequote.enclave.measure import mrenclave
from fusequote.errors import Refused, UsageError
from fusequote.reasons import Reason

KEY_BITS = 3072
KEY_BYTES = KEY_BITS // 8

_ALL64 = (1 << 64) - 1


class SigStructInvalid(Refused):
    """A SIGSTRUCT that EINIT would refuse. ``status`` is the code it would give."""

    kind = "sigstruct"

    def __init__(self, message: str, status: SgxStatus):
        reason = Reason.SIGNATURE if status == SgxStatus.SGX_INVALID_SIGNATURE else Reason.SIG_STRUCT
        super().__init__(message, reason=reason, hint="sign the image again, or give the SIGSTRUCT that belongs to it")
        self.status = status


def generate_signing_key() -> rsa.RSAPrivateKey:
    """A new enclave signing key: RSA-3072 with public exponent 3."""
    return rsa.generate_private_key(public_exponent=EXPONENT, key_size=KEY_BITS)


def sigstruct_for(
    image: Image,
    *,
    isvprodid: int = 0,
    isvsvn: int = 0,
    day: date | None = None,
    allow_debug: bool = True,
    swdefined: int = 0,
    isvfamilyid: bytes = bytes(16),
    isvextprodid: bytes = bytes(16),
) -> SigStruct:
    """The unsigned SIGSTRUCT of an image: its MRENCLAVE and the attributes of its SECS, all of which are demanded.

    ``allow_debug`` leaves DEBUG out of ATTRIBUTEMASK, as Intel's SDK does: then the same MRENCLAVE runs with and
    without DEBUG, and verifiers must look at REPORT.ATTRIBUTES. ``day`` is today when not given.
    """
    debug = int(AttributeFlags.DEBUG)
    flags = int(image.secs.attributes.flags) & ~(debug | int(AttributeFlags.INIT))
    mask = _ALL64 & ~debug if allow_debug else _ALL64
    return SigStruct(
        vendor=VENDOR_OTHER,
        date=bcd_date(day or date.today()),
        swdefined=swdefined,
        miscselect=image.secs.miscselect,
        miscmask=0xFFFFFFFF,
        cet_attributes=image.secs.cet_attributes,
        cet_attributes_mask=0xFF,
        isvfamilyid=isvfamilyid,
        attributes=Attributes(flags=flags, xfrm=image.secs.attributes.xfrm),
        attributemask=Attributes(flags=mask, xfrm=_ALL64),
        enclavehash=mrenclave(image),
        isvextprodid=isvextprodid,
        isvprodid=isvprodid,
        isvsvn=isvsvn,
    )


def sign_sigstruct(draft: SigStruct, key: rsa.RSAPrivateKey) -> SigStruct:
    """``draft`` with MODULUS, EXPONENT, SIGNATURE, Q1 and Q2 of ``key``.

    Raises :class:`~fusequote.errors.UsageError` when the key is not RSA-3072 with exponent 3.
    """
    public = key.public_key().public_numbers()
    if public.e != EXPONENT or key.key_size != KEY_BITS:
        raise UsageError(
            f"enclaves are signed with RSA-3072, exponent 3; this key has {key.key_size} bits, exponent {public.e}",
            hint="make a signing key with generate_signing_key()",
        )
    signature = int.from_bytes(key.sign(draft.signed_message(), padding.PKCS1v15(), hashes.SHA256()), "big")
    q1, q2 = quotients(signature, public.n)
    return draft.replace(
        modulus=_field(public.n), exponent=EXPONENT, signature=_field(signature), q1=_field(q1), q2=_field(q2)
    )


def sign_image(image: Image, key: rsa.RSAPrivateKey, **draft: object) -> SigStruct:
    """The signed SIGSTRUCT of an image; ``draft`` as in :func:`sigstruct_for`."""
    return sign_sigstruct(sigstruct_for(image, **draft), key)  # type: ignore[arg-type]


def quotients(signature: int, modulus: int) -> tuple[int, int]:
    """Q1 = floor(S^2 / N) and Q2 = floor((S^2 mod N) S / N), which save EINIT the division."""
    q1, rest = divmod(signature * signature, modulus)
    return q1, rest * signature // modulus


def encoded_message(sigstruct: SigStruct) -> int:
    """EM: the constant top 352 bytes and the hash, as a number (RFC 8017 section 9.2)."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(sigstruct.signed_message())
    return int.from_bytes(PADDING_352 + digest.finalize(), "big")


def verify_sigstruct(sigstruct: SigStruct) -> None:
    """Steps 2 and 4 of EINIT: the fixed fields and the RSA signature. Raises :class:`SigStructInvalid`.

    The equations hold over the integers, never modulo 2^3072, where anybody can solve them for any modulus; the whole
    EM is compared, never parsed, or a cube root would do. We refuse t1 >= N, which honest quotients never give and on
    which the manual is silent.
    """
    _check_fixed(sigstruct)
    n, s = _number(sigstruct.modulus), _number(sigstruct.signature)
    t1 = s * s - _number(sigstruct.q1) * n
    wrong = None
    if not 0 < s < n:
        wrong = "SIGNATURE is not in [1, MODULUS)"
    elif not 0 <= t1 < n:
        wrong = "Q1 is not floor(S^2 / N)"
    elif t1 * s - _number(sigstruct.q2) * n != encoded_message(sigstruct):
        wrong = "the RSA signature is not over these bytes"
    if wrong:
        raise SigStructInvalid(f"SIGSTRUCT: {wrong}", SgxStatus.SGX_INVALID_SIGNATURE)


def _check_fixed(sigstruct: SigStruct) -> None:
    wrong = None
    if sigstruct.header != HEADER or sigstruct.header2 != HEADER2:
        wrong = "HEADER and HEADER2 are not the fixed values"
    elif sigstruct.vendor not in (VENDOR_OTHER, VENDOR_INTEL):
        wrong = f"VENDOR is {sigstruct.vendor:#x}, neither 0 nor 0x8086"
    elif sigstruct.exponent != EXPONENT:
        wrong = f"EXPONENT is {sigstruct.exponent}, not 3"
    else:
        for name, offset in sigstruct.reserved_in_use():
            wrong = f"reserved byte {offset} ({name}) is not 0"
    if wrong:
        raise SigStructInvalid(f"SIGSTRUCT: {wrong}", SgxStatus.SGX_INVALID_SIG_STRUCT)


def _number(field: bytes) -> int:
    return int.from_bytes(field, "little")


def _field(number: int) -> bytes:
    return number.to_bytes(KEY_BYTES, "little")
