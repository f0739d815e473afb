"""Launch an enclave and print the identity that the chip measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fusequote.cli.attest import DebugEnclave, SigStructFile
from fusequote.cli.settings import current


def command(
    file: Annotated[Path, typer.Argument(help="SGXS file (with its SIGSTRUCT) or .signed.so.")],
    sigstruct: SigStructFile = None,
    debug_enclave: DebugEnclave = False,
) -> int:
    """Stream an enclave into the chip (ECREATE, EADD, EEXTEND, EINIT) and print the identity that it measured.

    The home folder's simulated chip is manufactured first when it is blank; another chip has to be manufactured.
    What EINIT refuses gives exit code 10.
    """
    from fusequote.api import Platform, chip_notes
    from fusequote.cli.output import show_result
    from fusequote.cli.steps import StepsView
    from fusequote.cli.values import check_is_file
    from fusequote.enclave import SigStructInvalid, verify_sigstruct
    from fusequote.relying.verify import identity_facts
    from fusequote.verdict import ResultDocument

    settings = current()
    for path in (file, sigstruct):
        if path is not None:
            check_is_file(path)
    with (
        StepsView(not settings.json) as view,
        Platform(settings.chip_url, home=settings.home, listener=view) as platform,
        platform.open_image(file, sigstruct, debug=debug_enclave) as image,
    ):
        if settings.is_home_chip:
            platform.ensure_manufactured()
        application = platform.launch(image, progress=view.pages)
        facts = {"pages": image.page_count, "chunks": image.chunk_count, **identity_facts(application.enclave.identity)}
        if platform.meter.wants_cycles:
            facts["chip_cycles"] = platform.meter.cycles
        notes = chip_notes(platform.chip.identity)
        try:
            verify_sigstruct(image.sigstruct)
        except SigStructInvalid as invalid:
            # A chip that enforces this has refused at EINIT; with another one the user should know what MRSIGNER says.
            notes += (f"the SIGSTRUCT is not its signer's: {invalid}",)
    return show_result(ResultDocument("launch", facts, notes=notes), settings)
