"""Launch control: whom the launch enclave vouches for, and its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fusequote.cli.attest import DebugEnclave, SigStructFile
from fusequote.cli.settings import current

app = typer.Typer(add_completion=False)
Signer = Annotated[str, typer.Argument(metavar="MRSIGNER", help="32 bytes, 64 hex digits.")]


@app.callback()
def _group() -> None:
    """Launch control: whom the launch enclave vouches for, and its tokens.

    `fusequote manufacture --lock-launch` makes a chip on which they decide.
    """


@app.command("policy")
def policy() -> int:
    """Show whose enclaves the launch enclave vouches for; with DEBUG it does so for everybody's."""
    return _show("launch-control policy")


@app.command("allow")
def allow(mrsigner: Signer) -> int:
    """Let a signer's enclaves run without DEBUG."""
    from fusequote.cli.values import hex_bytes
    from fusequote.platform.launchlist import LaunchList

    LaunchList(current().home).allow(hex_bytes("MRSIGNER", mrsigner, 32))
    return _show("launch-control allow")


@app.command("forbid")
def forbid(mrsigner: Signer) -> int:
    """Take a signer off the list again. Tokens that were issued stay good: a chip has no list of its own."""
    from fusequote.cli.values import hex_bytes
    from fusequote.platform.launchlist import LaunchList

    LaunchList(current().home).forbid(hex_bytes("MRSIGNER", mrsigner, 32))
    return _show("launch-control forbid")


@app.command("token")
def token(
    file: Annotated[Path, typer.Argument(help="SGXS file (with its SIGSTRUCT) or .signed.so.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Write the EINITTOKEN there, 304 bytes.")],
    sigstruct: SigStructFile = None,
    debug_enclave: DebugEnclave = False,
) -> int:
    """Launch the launch enclave and have it issue an EINITTOKEN for an enclave on this chip.

    `fusequote launch --token FILE` uses it. On a locked chip all commands that launch ask for theirs by themselves.
    """
    from fusequote.api import Platform, chip_notes
    from fusequote.cli.output import show_result
    from fusequote.cli.steps import StepsView
    from fusequote.cli.values import check_is_file, check_writable, write_output
    from fusequote.verdict import ResultDocument

    settings = current()
    for path in (file, sigstruct):
        if path is not None:
            check_is_file(path)
    check_writable(out)
    with (
        StepsView(not settings.json) as view,
        Platform(settings.chip_url, home=settings.home, listener=view) as platform,
        platform.open_image(file, sigstruct, debug=debug_enclave) as image,
    ):
        if settings.is_home_chip:
            platform.ensure_manufactured()
        issued = platform.launch_token(image)
        notes = chip_notes(platform.chip.identity)
    write_output(out, issued.to_bytes())
    facts = {
        "mrenclave": issued.mrenclave.hex(),
        "mrsigner": issued.mrsigner.hex(),
        "debug": issued.attributes.debug,
        "cpusvn": issued.cpusvnle.hex(),
        "keyid": issued.keyid.hex(),
    }
    return show_result(ResultDocument("launch-control token", facts, notes=notes), settings)


def _show(command: str) -> int:
    from fusequote.cli.output import show_result
    from fusequote.platform.launchlist import LaunchList
    from fusequote.platform.signers import Signers, mrsigner_of
    from fusequote.verdict import ResultDocument

    settings = current()
    signers = Signers(settings.home)
    listed = LaunchList(settings.home, signers)
    facts = {
        "launch_signer": mrsigner_of(signers.launch).hex(),
        "application": mrsigner_of(signers.application).hex(),
        "architectural": mrsigner_of(signers.architectural).hex(),
        "pce": mrsigner_of(signers.pce).hex(),
    }
    facts |= {f"other_{number}": signer.hex() for number, signer in enumerate(listed.others, 1)}
    return show_result(ResultDocument(command, facts), settings)
