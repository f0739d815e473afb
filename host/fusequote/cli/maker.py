"""What the maker does with a chip that is out in the world: TCB recovery, scrapping."""

from __future__ import annotations

from typing import Annotated

import typer

from fusequote.cli.settings import current

app = typer.Typer(add_completion=False)


@app.command("fuses")
def fuses() -> int:
    """Show the public fuses of the chip, and whether the maker has its record."""
    from fusequote.chip import open_chip

    settings = current()
    with open_chip(settings.chip_url) as chip:
        return _show("maker fuses", chip.fuse_status(), settings)


@app.command("raise-svn")
def raise_svn(cpusvn: Annotated[str, typer.Argument(help="The new CPUSVN, 32 hex digits.")]) -> int:
    """Raise the chip's CPUSVN, for good: no component may go down, and one has to go up.

    Seven times in a chip's life. The provisioning server of the home folder learns of it when a platform next starts.
    """
    from fusequote.chip import open_chip
    from fusequote.cli.values import hex_bytes
    from fusequote.maker import RecordBook, authorise

    settings = current()
    wanted = hex_bytes("CPUSVN", cpusvn, 16)
    with open_chip(settings.chip_url) as chip:
        return _show("maker raise-svn", authorise.raise_svn(chip, RecordBook(settings.home), wanted), settings)


@app.command("scrap")
def scrap(
    device_id: Annotated[str, typer.Argument(help="The chip's device id, 32 hex digits: it cannot be undone.")],
) -> int:
    """End the life of the chip, for good: all its secret fuses are burnt over."""
    from fusequote.chip import open_chip
    from fusequote.cli.values import hex_bytes
    from fusequote.errors import UsageError
    from fusequote.maker import RecordBook, authorise

    settings = current()
    meant = hex_bytes("the device id", device_id, 16)
    with open_chip(settings.chip_url) as chip:
        if chip.identity.device_id != meant:
            raise UsageError(f"this chip is device {chip.identity.device_id.hex()}", hint="nothing was burnt")
        return _show("maker scrap", authorise.scrap(chip, RecordBook(settings.home)), settings)


def _show(command: str, status, settings) -> int:
    from fusequote.cli.output import show_result
    from fusequote.maker import RecordBook
    from fusequote.verdict import ResultDocument

    facts = {
        "device_id": status.device_id.hex(),
        "life_cycle": status.life_cycle.name.lower(),
        "cpusvn": status.cpusvn.hex(),
        "cpusvn_generations": status.cpusvn_generations,
        "recorded": status.device_id in RecordBook(settings.home).devices(),
    }
    return show_result(ResultDocument(command, facts), settings)
