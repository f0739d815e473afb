"""The program of the block: boot, link rules, leaves. One file for each family, in the order of the manual's chapters.

:func:`assemble` puts them together. docs/chip.md lists, leaf by leaf, the checks in the order in which they stand here.
"""

from __future__ import annotations

from ..engines.entropy import ENTROPY_BYTES
from . import boot, building, dispatch, entry, fusing, keys, keys_simulation, launch, proof, status
from . import map as at
from .asm import Assembler, Program

__all__ = ["PROFILES", "Assembler", "Program", "assemble"]

#: Name of a key-derivation profile -> its number in IDENTIFY.
PROFILES = {"kd1": at.KD_PROFILE_KD1, "linux-sgx-sim": 2}

#: What a boot takes of a simulated source (docs/link.md, section 4).
SIMULATED_ENTROPY_BYTES = 32


def assemble(*, hardware_entropy: bool = False, profile: str = "kd1") -> Program:
    """Assemble the whole program.

    Parameters
    ----------
    hardware_entropy : bool
        Sets the capability bit that says so, and takes as many bytes at boot as a ring oscillator needs.
    profile : str
        How keys are derived: ``kd1``, or ``linux-sgx-sim``, for the test bench only (docs/chip.md, section 6).

    Raises
    ------
    ValueError
        For another profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"there is no profile {profile!r}: {', '.join(PROFILES)}")
    simulation = profile == "linux-sgx-sim"
    asm = Assembler(status.ENDS)
    asm.leaf("start")
    asm.jump("boot")
    status.emit(asm)
    boot.emit(asm, entropy_bytes=ENTROPY_BYTES if hardware_entropy else SIMULATED_ENTROPY_BYTES,
              report_keyid=keys_simulation.REPORT_KEYID if simulation else None)
    dispatch.emit(asm, hardware_entropy=hardware_entropy, profile=PROFILES[profile])
    fusing.emit(asm)
    building.emit(asm)
    launch.emit(asm)
    entry.emit(asm)
    proof.emit(asm)
    keys.emit(asm, simulation=simulation)
    return asm.program()
