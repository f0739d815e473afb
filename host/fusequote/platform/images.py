"""The architectural enclaves as images: what is measured is the source that plays them.

Code pages of a Quoting or Provisioning Enclave are the files of this package that make up the program, the
EPID library, and the services' public keys; the PCE's are its program alone, the launch enclave's its program and the
list of those whom it vouches for. Change a byte of any of them and
MRENCLAVE changes. What is not measured is Python itself and the libraries from elsewhere (``cryptography``, GMP);
an interpreter on a host is no enclave, and nothing here claims that the measured files are what actually runs
(docs/threat-model.md).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

import fusequote.epid
from fusequote.arch import AttributeFlags, SigStruct
from fusequote.enclave import MemoryImage, image_from_files, sample_image, sign_image
from fusequote.enclave.entrykey import EntryKey
from fusequote.platform.constants import Constants
from fusequote.platform.launch import LAUNCH_ISVPRODID, LAUNCH_ISVSVN, LaunchPolicy
from fusequote.platform.pce import PCE_ISVPRODID, PCE_ISVSVN
from fusequote.platform.signers import Signers

__all__ = [
    "AE_ISVPRODID", "AE_ISVSVN", "KeyedImage", "launch_image", "pce_image", "provisioning_image", "quoting_image",
    "signed_sample", "with_debug",
]  # fmt: skip

#: ISVPRODID and ISVSVN of Quoting and Provisioning Enclave: equal, for SEAL keys depend on both.
AE_ISVPRODID, AE_ISVSVN = 1, 1

_HERE = Path(__file__).parent
_EPID = Path(fusequote.epid.__file__).parent
_SHARED = ("constants.py", "entry.py", "epidblob.py", "epidfiles.py", "protocol.py", "sealing.py")
_PCE = ("pce.py", "entry.py", "protocol.py")
_LAUNCH = ("launch.py", "entry.py", "protocol.py")


class KeyedImage(MemoryImage):
    """An image that names an entry key, and the key: who has the image here can also enter it."""

    entry_key: EntryKey

    @classmethod
    def of(cls, image: MemoryImage, key: EntryKey) -> KeyedImage:
        """``image`` with the key's page behind its last one, unsigned."""
        keyed = key.named_in(image)
        made = cls(keyed.name, keyed.secs, list(keyed.operations()))
        made.entry_key = key
        return made

    def signed(self, sigstruct: SigStruct) -> KeyedImage:
        """The same image with its SIGSTRUCT."""
        made = KeyedImage(self.name, self.secs, list(self.operations()), sigstruct)
        made.entry_key = self.entry_key
        return made


@functools.cache
def _files(paths: tuple[str, ...]) -> Mapping[str, bytes]:
    """Files of this package by name. Read once: a file that is edited while this process runs is not what runs."""
    return {f"platform/{path}": (_HERE / path).read_bytes() for path in paths}


@functools.cache
def _sources(own: tuple[str, ...]) -> Mapping[str, bytes]:
    """The files of a program that works with EPID."""
    files = dict(_files((*own, *_SHARED)))
    library = sorted(path for path in _EPID.rglob("*") if path.suffix in (".py", ".c", ".h"))
    lines = (f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(_EPID).as_posix()}\n" for p in library)
    files["epid.sha256"] = "".join(lines).encode()
    return files


def _architectural(
    name: str, own: tuple[str, ...], attributes: AttributeFlags, constants: Constants, signers: Signers
) -> MemoryImage:
    files = {**_sources(own), "service-keys.bin": constants.to_bytes()}
    image = KeyedImage.of(image_from_files(name, files, attributes=attributes), signers.entry)
    # DEBUG is under the mask: an architectural enclave never runs with its memory open.
    sigstruct = sign_image(image, signers.architectural, isvprodid=AE_ISVPRODID, isvsvn=AE_ISVSVN, allow_debug=False)
    return image.signed(sigstruct)


def quoting_image(constants: Constants, signers: Signers) -> MemoryImage:
    """The Quoting Enclave, signed; it has no PROVISIONKEY."""
    own = ("quoting.py", "application.py")
    return _architectural("fusequote emulated QE", own, AttributeFlags.MODE64BIT, constants, signers)


def provisioning_image(constants: Constants, signers: Signers) -> MemoryImage:
    """The Provisioning Enclave, signed, with PROVISIONKEY."""
    attributes = AttributeFlags.MODE64BIT | AttributeFlags.PROVISIONKEY
    return _architectural("fusequote emulated PvE", ("provisioning.py", "operator.py"), attributes, constants, signers)


def pce_image(signers: Signers, *, isvsvn: int = PCE_ISVSVN) -> MemoryImage:
    """The PCE, signed by its own signer, with PROVISIONKEY. It knows no key of the services."""
    attributes = AttributeFlags.MODE64BIT | AttributeFlags.PROVISIONKEY
    plain = image_from_files("fusequote emulated PCE", dict(_files(_PCE)), attributes=attributes)
    image = KeyedImage.of(plain, signers.entry)
    sigstruct = sign_image(image, signers.pce, isvprodid=PCE_ISVPRODID, isvsvn=isvsvn, allow_debug=False)
    return image.signed(sigstruct)


def launch_image(policy: LaunchPolicy, signers: Signers, *, allow_debug: bool = False) -> MemoryImage:
    """The launch enclave, signed by its own signer, with EINITTOKEN_KEY. ``allow_debug`` is for tests: nothing that one
    with DEBUG vouches for runs without.
    """
    attributes = AttributeFlags.MODE64BIT | AttributeFlags.EINITTOKEN_KEY
    files = {**_files(_LAUNCH), "launch-policy.bin": policy.to_bytes()}
    image = KeyedImage.of(image_from_files("fusequote emulated LE", files, attributes=attributes), signers.entry)
    sigstruct = sign_image(
        image, signers.launch, isvprodid=LAUNCH_ISVPRODID, isvsvn=LAUNCH_ISVSVN, allow_debug=allow_debug
    )
    return image.signed(sigstruct)


def signed_sample(signers: Signers, *, isvprodid: int = 1, isvsvn: int = 1) -> MemoryImage:
    """The sample application, 64 KiB, signed; it may run with DEBUG."""
    image = sample_image()
    return image.signed(sign_image(image, signers.application, isvprodid=isvprodid, isvsvn=isvsvn))


def with_debug(image: MemoryImage) -> MemoryImage:
    """The same image with DEBUG asked for: MRENCLAVE stays, ATTRIBUTES differ."""
    attributes = image.secs.attributes
    flags = int(attributes.flags) | int(AttributeFlags.DEBUG)
    secs = image.secs.replace(attributes=attributes.replace(flags=flags))
    return MemoryImage(image.name, secs, list(image.operations()), image.sigstruct)
