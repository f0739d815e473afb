"""What the self-test launches: two tiny enclaves of two signers, the same in every run, and what is known of them.

The signing keys are published here on purpose: whoever accepts an enclave of theirs accepts anybody's.
"""

from __future__ import annotations

from datetime import date
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

from fusequote.arch import PAGE_SIZE, AttributeFlags, Attributes, PageType, Secs, SigStruct, Tcs
from fusequote.enclave.image import MemoryImage, whole_page
from fusequote.enclave.signing import sign_sigstruct, sigstruct_for

__all__ = [
    "BASE", "CPUSVN", "DEVICE_ID", "MRENCLAVE", "MRSIGNER", "NEXT_CPUSVN", "PROVISION_KEY", "RPK", "TCS",
    "image", "owner", "sigstruct",
]

#: Where the enclaves are based, and their one TCS.
BASE = 0x7F00_0000_0000
TCS = BASE + PAGE_SIZE
#: What a blank chip is burnt with; published too.
RPK = bytes.fromhex("5ec0de5ec0de5ec0de5ec0de5ec0de5e")
DEVICE_ID = b"fq-selftest-chip"
CPUSVN = bytes.fromhex("fefefefefefefefefefefefefefefefe")
NEXT_CPUSVN = bytes.fromhex("fffefefefefefefefefefefefefefefe")
#: Known answers: of the enclave without attributes, and of the first signer. SHA-256, as any implementation has them.
MRENCLAVE = bytes.fromhex("d19755d00dc09579042c1ec4f55aaf3d8244ebd6e78ca7ba79e90101d41f5e70")
#: PROVISION key of the first signer's enclave (ISVPRODID 7, ISVSVN 3) on a chip with RPK, at CPUSVN.
PROVISION_KEY = bytes.fromhex("83917269546233e4a22b9fe3823c284c")
MRSIGNER = bytes.fromhex("ae097d464be09ca4e5a020ad1a9ca5c6a9b57a43edee40f8293d4a4f594e2b9b")

_R, _RW = (flags | PageType.PT_REG << 8 for flags in (1, 3))
_TCS_FLAGS = PageType.PT_TCS << 8
_E = 3


@cache
def _key(p: int, q: int) -> rsa.RSAPrivateKey:
    d = pow(_E, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p),
                                    public_numbers=rsa.RSAPublicNumbers(_E, p * q))
    return numbers.private_key()


def image(attributes: AttributeFlags = AttributeFlags.MODE64BIT, *, mark: int = 0) -> MemoryImage:
    """Three pages: content, TCS, SSA. ``mark`` is a byte that makes another measurement."""
    content = bytes(range(256)) * 15 + bytes([mark]) * 256
    tcs = Tcs(ossa=2 * PAGE_SIZE, nssa=2, oentry=0x10).to_bytes()
    pages = ((_R, content), (_TCS_FLAGS, tcs), (_RW, bytes(PAGE_SIZE)))
    secs = Secs(size=4 * PAGE_SIZE, baseaddr=BASE, ssaframesize=1, attributes=Attributes(flags=attributes, xfrm=3))
    operations = [operation for i, page in enumerate(pages) for operation in whole_page(i * PAGE_SIZE, *page)]
    return MemoryImage("fusequote self-test", secs, operations)


def sigstruct(of: MemoryImage, *, signer: int = 0, isvprodid: int = 7, isvsvn: int = 3, **fields: object) -> SigStruct:
    """The image's SIGSTRUCT by signer 0 or 1; ``fields`` are replaced before it is signed."""
    draft = sigstruct_for(of, isvprodid=isvprodid, isvsvn=isvsvn, day=date(2020, 1, 1))
    return sign_sigstruct(draft.replace(**fields), _key(*_SIGNERS[signer]))


def owner(signer: int = 0) -> bytes:
    """MRSIGNER of a signer."""
    return sigstruct(image(), signer=signer).mrsigner


_A_P = int(
    "d96493f9d42be6f102523de32383f450f9a470c8c995196da45930d7ebb4d590d15d2de5de868310aa436ba1766d9c4e6bee"
    "9803f510d0fd49782dfdfe0785c93133d0e4eb5f71e2829ac553e1d7121a01699b44c669318573a937e3ca97175e22564a87"
    "61c3db752762da340fb0e65cac20e2cb02f2aaeb881bc63ae6245a93f71bb8f0a52db1e0d1b2873bceba77b95b6a9c664ba9"
    "92ddbee3271439e887cd551720342c49d4913613857011b1e43bb95f306a7b6b70897cfd9b7f086536b1",
    16,
)
_A_Q = int(
    "d3b03b46f015365ac3051820eff68317a0211d8756dcd63e2c077dc93e36c9583841ebc0aa7aece50a48659a5cb767264353"
    "04be96be3d92ec87441696cb746e1d4bc1fd5754a5c72226d8ac19e6f43844a540fbc3138df037e5f04c62772b8699da7dae"
    "ff556c15bef1d099598778e557f776546060b9ee2f1b86085688acf70b301a78d6325965210ed5e192ae268070ab94f6c4b2"
    "3859c71d30b6e037f49edb00d6b3e8f40341706d5b27c99c7a782b8cd18cc3d466b886aec74f0512b933",
    16,
)
_B_P = int(
    "f867eb22cfcca503423144083eaaade98be2c33295388572911bf3d9bdab1932ea171b4638130be3002902e7a5f116370303"
    "589d32113e80cad5e9711ceffcfcce27f1e6bf10787fc4c79a2327810a652126a8fd3a2d4f5f499807616e0e6d9e9ec0ce66"
    "265e6586a87b73d9d2c0e1249cc152ca8fb69b8c906c617d2c15db8529f2407de0ebdedb1aee915683affa282ce337cf80bc"
    "c94e9cf4f6df62f5e0b438b3524a5062380e0e2291aa161a743c966f22fc8d65c9a64d2da3fe69e7a2a5",
    16,
)
_B_Q = int(
    "caa91631d819f86c5e4fc718237c9676d2dfad01e82320a5e554dc430d1678b25cec40b897bd517c1d642c5aee72775074f8"
    "c70eb8ecad275da03c983d88ce5a099c00f780d8fc0ea628a21c6ec773460e899ac78f752303bb223a4308ca44dfc3b7b41c"
    "bb83ee74f8587661bb4c7671cc89612cd2c07a0b8e912ac48a25d6e3e43dcfb867086903c4388216905f156bdf0df2a32769"
    "f9ddf700a83002b56610bcf7cc48c4848081684cd67184e3f0aef75681d9a317c0d9023cf267a0df9c9d",
    16,
)
_SIGNERS = ((_A_P, _A_Q), (_B_P, _B_Q))
