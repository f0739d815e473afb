"""Burn and lock the fuses of a blank chip, and keep the maker's record."""

from __future__ import annotations

from fusequote.cli.settings import current


def command() -> int:
    """Burn the fuses of a blank chip with fresh keys, lock it for good, and keep the maker's record of it.

    Fuses burn once: a chip that is not blank is refused (exit code 10). The root provisioning key goes into the
    maker's encrypted record and to the provisioning server of the home folder, and is not shown.
    """
    from fusequote.api import Platform, chip_notes
    from fusequote.cli.output import show_result
    from fusequote.cli.steps import StepsView
    from fusequote.verdict import ResultDocument

    settings = current()
    with (
        StepsView(not settings.json) as view,
        Platform.manufacture(settings.chip_url, home=settings.home, listener=view) as platform,
    ):
        status, identity = platform.chip.fuse_status(), platform.chip.identify()
    facts = {
        "device_id": status.device_id.hex(),
        "life_cycle": status.life_cycle.name.lower(),
        "cpusvn": status.cpusvn.hex(),
        "provisioning_signer_0": status.provisioning_signers[0].hex(),
        "provisioning_signer_1": status.provisioning_signers[1].hex(),
        "lepubkeyhash": status.lepubkeyhash.hex(),
    }
    return show_result(ResultDocument("manufacture", facts, notes=chip_notes(identity)), settings)
