"""From an image to an enclave in the chip, and into it: what a driver and a runtime do on a PC.

The chip measures what is streamed to it here; nothing is measured or decided on this side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

from fusequote.arch import (
    AttributeFlags,
    EinitToken,
    KeyRequest,
    Report,
    ReportBody,
    SecInfo,
    Secs,
    SigStruct,
    TargetInfo,
    TokenValid,
)
from fusequote.chip import Chip, Command, CommandError, Handle, Ticket, commands
from fusequote.enclave.image import AddPage, Image
from fusequote.enclave.limits import check_for_chip, operations_for_chip
from fusequote.errors import DeviceError, UsageError

#: Where enclaves are based: a multiple of every SIZE that the block takes (2^36 at most). Not measured.
BASE_64 = 1 << 44
#: The same without MODE64BIT, where SIZE is 2^31 at most and addresses end at 2^32.
BASE_32 = 1 << 31

#: Called with (pages begun, pages in all) as each page begins.
Progress = Callable[[int, int], None]


class EnclaveSession:
    """One entry: what the program inside may ask of the chip as long as it is inside. Made by ``enter``.

    ``cssa`` and ``address`` (of the entry point) are EENTER's. Each method raises
    :class:`~fusequote.errors.UsageError` once the enclave was left.
    """

    def __init__(self, chip: Chip, ticket: Ticket, cssa: int, address: int):
        self._chip = chip
        self._ticket: Ticket | None = ticket
        self.cssa = cssa
        self.address = address

    def ereport(self, targetinfo: TargetInfo | bytes, reportdata: bytes = bytes(64)) -> Report:
        """EREPORT: a REPORT of this enclave that the target can check. ``reportdata``: 64 bytes."""
        return self._chip.ereport(self._inside(), targetinfo, reportdata)

    def egetkey(self, keyrequest: KeyRequest | bytes) -> bytes:
        """EGETKEY: 16 secret bytes. They cross the link in the clear."""
        return self._chip.egetkey(self._inside(), keyrequest)

    def verifyreport(self, report: Report | bytes) -> bool:
        """VERIFYREPORT (ours): whether a REPORT targeted at this enclave is good; its key stays in the
        chip."""
        return self._chip.verifyreport(self._inside(), report)

    def _inside(self) -> Ticket:
        if self._ticket is None:
            raise UsageError("this enclave was left: its ticket is dead", hint="enter it again")
        return self._ticket

    def _leave(self) -> None:
        ticket, self._ticket = self._inside(), None
        self._chip.eexit(ticket)

    def __repr__(self) -> str:
        return f"EnclaveSession({'left' if self._ticket is None else f'inside, entry {self.address:#x}'})"


@dataclass(frozen=True)
class LaunchedEnclave:
    """An initialised enclave. As a context manager it is removed in the end.

    ``tcs``: the addresses of its TCSs in the order of the image. ``identity``: what the chip will say of
    it in every REPORT (REPORTDATA zero).
    """

    chip: Chip
    handle: Handle
    base: int
    size: int
    tcs: tuple[int, ...]
    identity: ReportBody

    @contextmanager
    def enter(self, tcs: int = 0) -> Iterator[EnclaveSession]:
        """EENTER by the ``tcs``-th TCS; EEXIT at the end of the block, whatever happens in it.

        When the block fails, its own error comes through, even if the chip cannot be left any more. Raises
        :class:`~fusequote.errors.UsageError` for a TCS that the image does not have.
        """
        if not 0 <= tcs < len(self.tcs):
            raise UsageError(f"this enclave has {len(self.tcs)} TCS: there is no number {tcs}")
        entry = self.chip.eenter(self.handle, self.tcs[tcs])
        session = EnclaveSession(self.chip, entry.ticket, entry.cssa, entry.address)
        try:
            yield session
        except BaseException:
            with suppress(DeviceError):
                session._leave()
            raise
        session._leave()

    def remove(self) -> None:
        """EREMOVE. Raises :class:`~fusequote.chip.SgxError` (SGX_ENCLAVE_ACT) while it is entered."""
        self.chip.eremove(self.handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self.remove()
            return
        with suppress(DeviceError):
            self.remove()


def launch(
    chip: Chip,
    image: Image,
    sigstruct: SigStruct | None = None,
    *,
    token: EinitToken | None = None,
    set_lepubkeyhash: bool = True,
    progress: Progress | None = None,
) -> LaunchedEnclave:
    """ECREATE, EADD and EEXTEND as the image says, EINIT. One page at a time is in memory here.

    ``sigstruct`` is the image's own when not given. As Linux does, the signer's MRSIGNER is written into
    LEPUBKEYHASH before EINIT, unless ``set_lepubkeyhash`` is False, the fuses lock it, or a valid
    ``token`` does without. On any failure the slot is freed again.

    Raises :class:`~fusequote.enclave.errors.ImageUnsupported` before anything is sent when the image
    needs more than the block has; :class:`~fusequote.errors.UsageError` without a SIGSTRUCT; what reading
    the image raises; and :class:`~fusequote.errors.DeviceError` of the chip's refusals.
    """
    sigstruct = image.sigstruct if sigstruct is None else sigstruct
    if sigstruct is None:
        raise UsageError(
            f"{image.name}: no SIGSTRUCT", hint="give the file that holds it, or sign the image"
        )
    check_for_chip(image, tcs_slots=chip.identity.tcs_per_slot)
    valid_token = token is not None and bool(token.valid & TokenValid.VALID)
    owner = sigstruct.mrsigner
    if set_lepubkeyhash and not valid_token and not chip.identity.lepubkeyhash_locked:
        chip.set_lepubkeyhash(owner)
    lost = chip.stats.lost
    try:
        return _build(chip, image, sigstruct, token, progress, window=2)
    except CommandError:
        if chip.stats.lost == lost:
            raise
    # The link lost the answers of commands that were run: one of those may have been the refusal that
    # this error only follows from. Once more, waiting for each answer.
    return _build(chip, image, sigstruct, token, progress, window=1)


def needs_token(chip: Chip, image: Image) -> bool:
    """Whether EINIT takes this image with an EINITTOKEN only: LEPUBKEYHASH is locked, to another signer."""
    if image.sigstruct is None or not chip.identity.lepubkeyhash_locked:
        return False
    return chip.fuse_status().lepubkeyhash != image.sigstruct.mrsigner


def _build(
    chip: Chip,
    image: Image,
    sigstruct: SigStruct,
    token: EinitToken | None,
    progress: Progress | None,
    *,
    window: int,
) -> LaunchedEnclave:
    secs = image.secs.replace(baseaddr=base_for(image.secs))
    handle = chip.ecreate(secs)
    tcs: list[int] = []
    try:
        chip.pipeline(_requests(chip, image, handle, secs.baseaddr, tcs, progress), window=window)
        chip.einit(handle, sigstruct, token)
        identity = chip.slot_info(handle)
    except BaseException:
        with suppress(DeviceError):
            chip.eremove(handle)
        raise
    return LaunchedEnclave(chip, handle, secs.baseaddr, secs.size, tuple(tcs), identity)


def base_for(secs: Secs) -> int:
    """Where an enclave with this SECS is based."""
    return BASE_64 if secs.attributes.flags & AttributeFlags.MODE64BIT else BASE_32


def _requests(
    chip: Chip, image: Image, handle: Handle, base: int, tcs: list[int], progress: Progress | None
) -> Iterator[Command]:
    """The requests of the image, one at a time. Notes the addresses of TCSs in ``tcs`` on the way."""
    pages = 0
    tcs_open = False
    for operation in operations_for_chip(image, tcs_slots=chip.identity.tcs_per_slot):
        at = base + operation.offset
        if isinstance(operation, AddPage):
            pages += 1
            if progress is not None:
                progress(pages, image.page_count)
            tcs_open = operation.is_tcs
            if tcs_open:
                tcs.append(at)
            yield commands.eadd(handle, at, SecInfo(flags=operation.flags), operation.content)
        else:
            # The chip keeps a TCS and measures its own copy: it takes no content for one.
            yield commands.eextend(handle, at, operation.count, b"" if tcs_open else operation.data)
