"""What a leaf answers in RAX (instruction notes 1.10)."""

from __future__ import annotations

from enum import IntEnum


class SgxStatus(IntEnum):
    """Error codes of the enclave leaves that this project has. #GP and #PF are faults, not codes."""

    SGX_SUCCESS = 0
    SGX_INVALID_SIG_STRUCT = 1
    SGX_INVALID_ATTRIBUTE = 2
    SGX_INVALID_MEASUREMENT = 4
    SGX_INVALID_SIGNATURE = 8
    #: EREMOVE of a SECS that still has pages.
    SGX_CHILD_PRESENT = 13
    #: EREMOVE of an enclave that a thread is in.
    SGX_ENCLAVE_ACT = 14
    SGX_INVALID_EINITTOKEN = 16
    SGX_INVALID_CPUSVN = 32
    SGX_INVALID_ISVSVN = 64
    SGX_UNMASKED_EVENT = 128
    SGX_INVALID_KEYNAME = 256
