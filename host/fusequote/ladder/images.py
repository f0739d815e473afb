"""The ladder's enclaves: the application at both levels, a Quoting Enclave, and what an attacker makes herself.

They are small, so that a simulated chip measures one in a quarter of a second; what they measure is the source of the
programs that play them (docs/threat-model.md says what that is worth).
"""

from __future__ import annotations

import functools
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

import fusequote.platform
from fusequote.arch import AttributeFlags
from fusequote.enclave import MemoryImage, image_from_files, sign_image
from fusequote.enclave.entrykey import EntryKey
from fusequote.platform.images import KeyedImage

__all__ = ["QE_ISVPRODID", "QE_ISVSVN", "application_image", "keyed_application_image", "quoting_image", "small_image"]

#: Of the ladder's Quoting Enclave: another product than the one that signs EPID quotes, hence other keys.
QE_ISVPRODID, QE_ISVSVN = 17, 1
_APPLICATION_ISVPRODID = 18


@functools.cache
def _source(name: str) -> bytes:
    folder, _, file = name.partition("/")
    root = Path(fusequote.platform.__file__).parent if folder == "platform" else Path(__file__).parent
    return (root / file).read_bytes()


def _unsigned(name: str, files: tuple[str, ...], attributes: AttributeFlags = AttributeFlags.MODE64BIT) -> MemoryImage:
    contents = {file: _source(file) for file in files}
    return image_from_files(name, contents, attributes=attributes, heap_pages=0)


def application_image(signer: rsa.RSAPrivateKey) -> MemoryImage:
    """The application without an entry key (level L1)."""
    image = _unsigned("ladder application", ("platform/application.py",))
    return image.signed(sign_image(image, signer, isvprodid=_APPLICATION_ISVPRODID, isvsvn=1))


def keyed_application_image(signer: rsa.RSAPrivateKey, key: EntryKey) -> KeyedImage:
    """The application whose image names ``key`` (level L2)."""
    image = KeyedImage.of(_unsigned("ladder application", ("platform/application.py",)), key)
    return image.signed(sign_image(image, signer, isvprodid=_APPLICATION_ISVPRODID, isvsvn=1))


def quoting_image(signer: rsa.RSAPrivateKey, key: EntryKey) -> KeyedImage:
    """The Quoting Enclave of the third and fourth rung. It has PROVISIONKEY, which not every signer can give."""
    attributes = AttributeFlags.MODE64BIT | AttributeFlags.PROVISIONKEY
    image = KeyedImage.of(_unsigned("ladder Quoting Enclave", ("ladder/quoting.py",), attributes), key)
    sigstruct = sign_image(image, signer, isvprodid=QE_ISVPRODID, isvsvn=QE_ISVSVN, allow_debug=False)
    return image.signed(sigstruct)


def small_image(name: str, signer: rsa.RSAPrivateKey, attributes: AttributeFlags | None = None) -> MemoryImage:
    """An enclave of somebody's own."""
    flags = AttributeFlags.MODE64BIT if attributes is None else attributes
    image = image_from_files(name, {"own.txt": name.encode()}, attributes=flags, heap_pages=0)
    return image.signed(sign_image(image, signer, isvprodid=QE_ISVPRODID, isvsvn=QE_ISVSVN))
