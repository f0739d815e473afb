"""Checks of building and launching: what is measured, and what EINIT refuses (docs/chip.md, section 4)."""

from __future__ import annotations

from fusequote.arch import PAGE_SIZE, AttributeFlags, Attributes, PageType, SecInfo, Secs, SigStruct
from fusequote.chip import CommandError, Handle, Status
from fusequote.enclave import mrenclave
from fusequote.selftest import material
from fusequote.selftest.bench import Bench, Skipped
from fusequote.selftest.registry import Check, check

__all__ = ["CHECKS"]

CHECKS: list[Check] = []
_REG = SecInfo(flags=1 | PageType.PT_REG << 8)


@check(CHECKS, "launch.measurement")
def _measurement(bench: Bench) -> None:
    """MRENCLAVE, MRSIGNER and the versions of a launched enclave are the known ones."""
    bench.equal("our own MRENCLAVE", mrenclave(material.image()), material.MRENCLAVE)
    with bench.enclave() as resident:
        body = resident.identity
        bench.equal("MRENCLAVE", body.mrenclave, material.MRENCLAVE)
        bench.equal("MRSIGNER", body.mrsigner, material.MRSIGNER)
        bench.equal("ISVPRODID and ISVSVN", (body.isvprodid, body.isvsvn), (7, 3))
        wanted = Attributes(flags=AttributeFlags.INIT | AttributeFlags.MODE64BIT, xfrm=3)
        bench.equal("ATTRIBUTES", bytes(body.attributes), bytes(wanted))
        bench.equal("CPUSVN", body.cpusvn, bench.identity.cpusvn)


@check(CHECKS, "launch.forged-sigstruct")
def _forged(bench: Bench) -> None:
    """A SIGSTRUCT with a flipped bit, or with a field changed after signing, is refused."""
    bench.need_enclaves()
    if not bench.identity.rsa_enforced:
        raise Skipped("this chip does not check the signature of a SIGSTRUCT, and says so")
    bench.own_signer()
    image = material.image()
    good = material.sigstruct(image)
    other = material.sigstruct(image, signer=1)
    flipped = bytearray(good.signature)
    flipped[100] ^= 4
    forged = {
        "a flipped bit in SIGNATURE": good.replace(signature=bytes(flipped)),
        "another ISVSVN than was signed": good.replace(isvsvn=4),
        "the modulus of another signer": good.replace(modulus=other.modulus),
        "the quotients of another signature": good.replace(q1=other.q1, q2=other.q2),
    }
    with bench.building(image) as handle:
        for what, sigstruct in forged.items():
            _einit_refused(bench, handle, sigstruct, Status.SGX_INVALID_SIGNATURE, what)


@check(CHECKS, "launch.wrong-sigstruct")
def _wrong(bench: Bench) -> None:
    """A well-signed SIGSTRUCT of another enclave, of other attributes or with reserved bits set is refused."""
    bench.need_enclaves()
    bench.own_signer()
    image = material.image()
    debug = Attributes(flags=AttributeFlags.MODE64BIT | AttributeFlags.DEBUG, xfrm=3)
    wrong = (
        (material.sigstruct(material.image(mark=1)), Status.SGX_INVALID_MEASUREMENT, "another ENCLAVEHASH"),
        (material.sigstruct(image, attributes=debug, attributemask=Attributes(flags=(1 << 64) - 1, xfrm=(1 << 64) - 1)),
         Status.SGX_INVALID_ATTRIBUTE, "DEBUG demanded of an enclave without it"),
        (material.sigstruct(image).replace(exponent=5), Status.SGX_INVALID_SIG_STRUCT, "exponent 5"),
    )
    with bench.building(image) as handle:
        for sigstruct, status, what in wrong:
            _einit_refused(bench, handle, sigstruct, status, what)
        # A refused EINIT leaves the enclave as it was.
        bench.chip.einit(handle, material.sigstruct(image))
        bench.refused(Status.FAULT_GP, bench.chip.einit, handle, material.sigstruct(image))


@check(CHECKS, "launch.control")
def _control(bench: Bench) -> None:
    """A signer that LEPUBKEYHASH does not name launches nothing without a token, and nobody gets PROVISIONKEY."""
    bench.need_enclaves()
    bench.own_signer(0)
    image = material.image()
    with bench.building(image) as handle:
        sigstruct = material.sigstruct(image, signer=1)
        _einit_refused(bench, handle, sigstruct, Status.SGX_INVALID_EINITTOKEN, "another signer's name")
    status = bench.chip.fuse_status()
    if material.owner(0) in status.provisioning_signers:
        return
    image = material.image(AttributeFlags.MODE64BIT | AttributeFlags.PROVISIONKEY)
    with bench.building(image) as handle:
        sigstruct = material.sigstruct(image)
        _einit_refused(bench, handle, sigstruct, Status.SGX_INVALID_ATTRIBUTE, "PROVISIONKEY for anybody")


@check(CHECKS, "launch.build-rules")
def _rules(bench: Bench) -> None:
    """ECREATE, EADD and EEXTEND refuse what the manual's rules forbid."""
    bench.need_enclaves()
    chip, image = bench.chip, material.image()
    for what, secs in (
        ("a SIZE that is no power of two", image.secs.replace(size=3 * PAGE_SIZE)),
        ("a BASEADDR that is not aligned", image.secs.replace(baseaddr=PAGE_SIZE)),
        ("INIT set", image.secs.replace(attributes=Attributes(flags=5, xfrm=3))),
        ("XFRM without x87", image.secs.replace(attributes=Attributes(flags=4, xfrm=2))),
    ):
        bench.equal(f"status of ECREATE with {what}", _status(chip.ecreate, secs), Status.FAULT_GP)
    handle = chip.ecreate(image.secs)
    try:
        end = material.BASE + image.secs.size
        bench.refused(Status.FAULT_GP, chip.eadd, handle, end, _REG)
        bench.refused(Status.FAULT_GP, chip.eadd, handle, material.BASE + 1, _REG)
        bench.refused(Status.FAULT_PF, chip.eextend, handle, material.BASE, 1, bytes(256))
        chip.eadd(handle, material.BASE, _REG)
        bench.refused(Status.FAULT_PF, chip.eextend, handle, material.BASE + PAGE_SIZE, 1, bytes(256))
        bench.refused(Status.FAULT_GP, chip.slot_info, handle)
        bench.refused(Status.FAULT_GP, chip.eenter, handle, material.TCS)
        bench.refused(Status.FAULT_PF, chip.eadd, Handle(handle.slot, handle.eid ^ 1), material.BASE, _REG)
    finally:
        chip.eremove(handle)
    bench.refused(Status.FAULT_PF, chip.eremove, handle)


@check(CHECKS, "launch.slots")
def _slots(bench: Bench) -> None:
    """As many enclaves as IDENTIFY says fit, no more, and no EID comes twice."""
    bench.need_enclaves()
    secs: Secs = material.image().secs
    taken: list[Handle] = []
    try:
        for _ in range(bench.free_slots()):
            taken.append(bench.chip.ecreate(secs))
        bench.refused(Status.BLOCK_NO_SLOT, bench.chip.ecreate, secs)
    finally:
        for handle in taken:
            bench.chip.eremove(handle)
    bench.equal("EIDs that came twice", len(taken) - len({handle.eid for handle in taken}), 0)


def _einit_refused(bench: Bench, handle: Handle, sigstruct: SigStruct, status: int, what: str) -> None:
    got = _status(bench.chip.einit, handle, sigstruct)
    bench.equal(f"status of EINIT with {what}", got, status)


def _status(call, *arguments) -> int:
    try:
        call(*arguments)
    except CommandError as error:
        return error.status
    return 0
