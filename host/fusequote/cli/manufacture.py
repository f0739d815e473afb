"""Burn and lock the fuses of a blank chip, and keep the maker's record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fusequote.cli.settings import Settings, current

#: Entry points: ``board`` is what writes fuses into a board's bitstream (:func:`fusequote_boards.personalize`).
GROUP = "fusequote.manufacture"


def command(
    board: Annotated[
        str | None, typer.Option(metavar="BOARD", help="Write the fuses into this board's bitstream, in place of a "
                                 "chip's own. `fusequote boards` lists the boards.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --board: the bitstream, a new file. It holds the chip's "
                                  "keys: flash it, then delete it.")] = None,
    baud: Annotated[
        int | None, typer.Option(metavar="RATE", help="With --board: the link's rate, the board's own by default.")
    ] = None,
    lock_launch: Annotated[
        bool, typer.Option("--lock-launch", help="Lock LEPUBKEYHASH to the launch enclave's signer: other enclaves "
                           "then start with its token only.")] = False,
    build_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="With --board: where builds are kept.")] = None,
) -> int:
    """Burn the fuses of a blank chip with fresh keys, lock it for good, and keep the maker's record of it.

    Fuses burn once: a chip that is not blank is refused (exit code 10). The root provisioning key goes into the
    maker's encrypted record and to the provisioning server of the home folder, and is not shown.
    """
    from fusequote.errors import UsageError

    settings = current()
    if board is not None:
        if settings.chip is not None:
            raise UsageError("--board and --chip do not go together", hint="leave one of them out")
        if out is None:
            raise UsageError("--board needs --out: the bitstream with this chip's keys", hint="give --out FILE")
        return _for_board(settings, board, out, build_dir, baud, lock_launch)
    if (out, build_dir, baud) != (None, None, None):
        raise UsageError("--out, --baud and --build-dir go with --board", hint="give --board BOARD, or leave them out")
    return _on_chip(settings, lock_launch)


def _on_chip(settings: Settings, lock_launch: bool) -> int:
    from fusequote.api import Platform, chip_notes
    from fusequote.cli.output import show_result
    from fusequote.cli.steps import StepsView
    from fusequote.verdict import ResultDocument

    with (
        StepsView(not settings.json) as view,
        Platform.manufacture(
            settings.chip_url, lock_launch=lock_launch, home=settings.home, listener=view
        ) as platform,
    ):
        status, identity = platform.chip.fuse_status(), platform.chip.identify()
    facts = {
        "device_id": status.device_id.hex(),
        "life_cycle": status.life_cycle.name.lower(),
        "cpusvn": status.cpusvn.hex(),
        "provisioning_signer_0": status.provisioning_signers[0].hex(),
        "provisioning_signer_1": status.provisioning_signers[1].hex(),
        "lepubkeyhash": status.lepubkeyhash.hex(),
        "lepubkeyhash_locked": identity.lepubkeyhash_locked,
    }
    return show_result(ResultDocument("manufacture", facts, notes=chip_notes(identity)), settings)


def _for_board(
    settings: Settings, board: str, out: Path, build_dir: Path | None, baud: int | None, lock_launch: bool
) -> int:
    from fusequote.cli.output import progress, show_result
    from fusequote.maker import RecordBook
    from fusequote.maker.board import fuses_of, new_record
    from fusequote.platform.signers import Signers, mrsigner_of
    from fusequote.services.services import Services
    from fusequote.verdict import ResultDocument

    personalize = _personalize()
    home, signers = settings.home, Signers(settings.home)
    book = RecordBook(home)
    record = new_record(provisioning_signers=signers.provisioning_signers(),
                        lepubkeyhash=mrsigner_of(signers.launch if lock_launch else signers.application),
                        lepubkeyhash_locked=lock_launch)
    # Before the bitstream: no chip may exist whose key the maker does not have.
    book.add(record)
    try:
        with progress(f"fuses for {board}", settings):
            made = personalize(board, fuses_of(record), out, build_dir or home.cache / "boards", baud=baud)
    except BaseException:
        book.discard(record.device_id)
        raise
    services = Services(home)
    try:
        services.import_device(record)
    finally:
        services.close()
    facts: dict[str, Any] = {**made, "device_id": record.device_id.hex(), "life_cycle": "locked",
                             "cpusvn": record.cpusvn.hex()}
    notes = (f"{out} holds the chip's root keys, which nobody else has a copy of: flash it "
             f"(`fusequote flash {board} --bitstream {out}`), then delete it",)
    return show_result(ResultDocument("manufacture", facts, notes=notes), settings)


def _personalize() -> Any:
    import importlib.metadata

    from fusequote.cli.registry import missing_package
    from fusequote.errors import EnvironmentProblem

    for point in importlib.metadata.entry_points(group=GROUP, name="board"):
        try:
            return point.load()
        except ModuleNotFoundError as error:
            raise missing_package(error, "manufacture --board") from error
    raise EnvironmentProblem("no installed package writes bitstreams", hint="install fusequote again")
