"""Enclave images: reading, measuring, signing and making them. What a chip is told comes from here."""

from fusequote.enclave.errors import ImageError, ImageUnsupported
from fusequote.enclave.files import default_sigstruct_path, open_image, read_sigstruct
from fusequote.enclave.image import AddPage, ExtendChunks, FileImage, Image, MemoryImage, Operation
from fusequote.enclave.limits import check_for_chip, operations_for_chip
from fusequote.enclave.measure import mrenclave
from fusequote.enclave.sample import image_from_files, image_from_sources, sample_image
from fusequote.enclave.sgxs import SgxsImage, write_sgxs
from fusequote.enclave.signedso import SignedSoImage
from fusequote.enclave.signing import (
    SigStructInvalid,
    generate_signing_key,
    sign_image,
    sign_sigstruct,
    sigstruct_for,
    verify_sigstruct,
)

__all__ = [
    "AddPage",
    "ExtendChunks",
    "FileImage",
    "Image",
    "ImageError",
    "ImageUnsupported",
    "MemoryImage",
    "Operation",
    "SgxsImage",
    "SigStructInvalid",
    "SignedSoImage",
    "check_for_chip",
    "default_sigstruct_path",
    "generate_signing_key",
    "image_from_files",
    "image_from_sources",
    "mrenclave",
    "open_image",
    "operations_for_chip",
    "read_sigstruct",
    "sample_image",
    "sign_image",
    "sign_sigstruct",
    "sigstruct_for",
    "verify_sigstruct",
    "write_sgxs",
]
