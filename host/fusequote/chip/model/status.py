"""What a command can answer, and how a leaf says no.

Source: docs/link.md section 2.2; the values below 0x4000 are those of RAX in the manual.
"""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Status of an answer, u16."""

    SUCCESS = 0x0000
    SGX_INVALID_SIG_STRUCT = 0x0001
    SGX_INVALID_ATTRIBUTE = 0x0002
    SGX_INVALID_MEASUREMENT = 0x0004
    SGX_INVALID_SIGNATURE = 0x0008
    SGX_ENCLAVE_ACT = 0x000E
    SGX_INVALID_EINITTOKEN = 0x0010
    SGX_INVALID_CPUSVN = 0x0020
    SGX_INVALID_ISVSVN = 0x0040
    SGX_UNMASKED_EVENT = 0x0080
    SGX_INVALID_KEYNAME = 0x0100
    LINK_UNKNOWN_COMMAND = 0x4001
    LINK_BAD_LENGTH = 0x4002
    LINK_BAD_FRAME = 0x4003
    LINK_TOO_LONG = 0x4004
    LINK_OUT_OF_SEQUENCE = 0x4005
    LINK_ANSWER_GONE = 0x4006
    BLOCK_LIFE_CYCLE = 0x4011
    BLOCK_NO_SLOT = 0x4012
    BLOCK_NO_TCS = 0x4013
    BLOCK_BOOT_FAILED = 0x4014
    BLOCK_NO_GENERATION = 0x4015
    BLOCK_ENTRY_PROOF = 0x4016
    FAULT_GP = 0x800D
    FAULT_PF = 0x800E


class Refusal(Exception):
    """A command that ends with another status than SUCCESS. It stays inside the model."""

    def __init__(self, status: Status):
        super().__init__(status.name)
        self.status = status


def refuse_if(condition: bool, status: Status) -> None:
    """End the command with ``status`` when ``condition`` holds: one line per line of the manual."""
    if condition:
        raise Refusal(status)


def gp_if(condition: bool) -> None:
    """#GP(0) when ``condition`` holds."""
    refuse_if(condition, Status.FAULT_GP)
