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
    token: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An EINITTOKEN, as `fusequote launch-control token` writes it.")
    ] = None,
) -> int:
    """Stream an enclave into the chip (ECREATE, EADD, EEXTEND, EINIT) and print the identity that it measured.

    The home folder's simulated chip is manufactured first when it is blank; another chip has to be manufactured.
    A chip with locked launch control gets a token from the launch enclave when none is given. What EINIT or the launch
    enclave refuses gives exit code 10.
    """
    from fusequote.api import Platform, chip_notes
    from fusequote.arch import EinitToken
    from fusequote.cli.output import show_result
    from fusequote.cli.steps import StepsView
    from fusequote.cli.values import check_is_file, read_limited
    from fusequote.relying.verify import identity_facts
    from fusequote.verdict import ResultDocument

    settings = current()
    for path in (file, sigstruct):
        if path is not None:
            check_is_file(path)
    given = None if token is None else EinitToken.from_bytes(read_limited(token, "the EINITTOKEN", 4096))
    with (
        StepsView(not settings.json) as view,
        Platform(settings.chip_url, home=settings.home, listener=view) as platform,
        platform.open_image(file, sigstruct, debug=debug_enclave) as image,
    ):
        if settings.is_home_chip:
            platform.ensure_manufactured()
        application = platform.launch(image, token=given, progress=view.pages)
        facts = {"pages": image.page_count, "chunks": image.chunk_count, **identity_facts(application.enclave.identity)}
        if platform.meter.wants_cycles:
            facts["chip_cycles"] = platform.meter.cycles
        notes = chip_notes(platform.chip.identity)
    return show_result(ResultDocument("launch", facts, notes=notes), settings)
