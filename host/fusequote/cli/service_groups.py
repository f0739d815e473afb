"""Operate the provisioning server: EPID groups for a TCB or a rekey, and the devices that may join."""

from __future__ import annotations

from typing import Annotated

import typer

from fusequote.cli.operating import Store, opened, show, show_all
from fusequote.cli.settings import current

__all__ = ["device", "group"]

group = typer.Typer(add_completion=False)
device = typer.Typer(add_completion=False)

_SVN = {"min": 0, "max": 65535, "show_default": "this version's"}


@group.callback()
def _groups() -> None:
    """Open EPID groups: for a new TCB, or for a performance rekey."""


@device.callback()
def _devices() -> None:
    """List, import and revoke the chips that the provisioning server knows."""


@group.command("open")
def open_group(
    cpusvn: Annotated[str, typer.Option(metavar="HEX", help="CPUSVN of the TCB, 16 bytes.")],
    isvsvn: Annotated[int | None, typer.Option("--isvsvn", help="ISVSVN of the Provisioning Enclave.", **_SVN)] = None,
    pce_svn: Annotated[int | None, typer.Option("--pce-svn", help="ISVSVN of the PCE.", **_SVN)] = None,
    store: Store = None,
) -> int:
    """Open an EPID group for a TCB: platforms that prove it, or a higher one, join it from now on.

    Groups of older TCBs stay as they are: `fusequote service tcb GID --out-of-date --no-joins` is the next step of a
    TCB recovery (docs/provisioning.md).
    """
    from fusequote.cli.values import hex_bytes
    from fusequote.platform.images import AE_ISVSVN
    from fusequote.platform.pce import PCE_ISVSVN
    from fusequote.services.attestation_describe import group_document
    from fusequote.services.attestation_operator import Operator

    wanted = hex_bytes("--cpusvn", cpusvn, 16)
    enclave, pce = (AE_ISVSVN if isvsvn is None else isvsvn), (PCE_ISVSVN if pce_svn is None else pce_svn)
    with opened(store) as services:
        gid = services.provisioning.members.open_group(wanted, enclave, pce)
        return show("group open", group_document(Operator(services.registry, services.keys).group(gid)))


@group.command("rekey")
def rekey_group(
    gid: Annotated[str, typer.Argument(help="EPID group, 8 hex digits, big-endian.")], store: Store = None
) -> int:
    """Open a group of the same TCB for a performance rekey: members move there with the same secret.

    The old group takes nobody any more. Its platforms learn of the offer from their next report.
    """
    from fusequote.cli.values import hex_bytes
    from fusequote.services.attestation_describe import group_document
    from fusequote.services.attestation_operator import Operator

    old = hex_bytes("the group", gid, 4)
    with opened(store) as services:
        made = services.provisioning.members.create_rekey_group(old)
        document = group_document(Operator(services.registry, services.keys).group(made))
        return show("group rekey", {"of": old.hex()} | document)


@device.command("list")
def list_devices(store: Store = None) -> int:
    """List the devices that the provisioning server knows."""
    with opened(store) as services:
        return show_all("device list", [one.document() for one in services.provisioning.members.devices()], "device_id")


@device.command("import")
def import_devices(
    device_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DEVICE_ID]...", help="Of these devices. Default: of all.", show_default=False),
    ] = None,
    store: Store = None,
) -> int:
    """Import devices from the maker's records of the home folder; who is known already stays as it is.

    A group opens for their TCB when no group was ever made for it. Root provisioning keys are encrypted in the store.
    """
    from fusequote.cli.values import hex_bytes
    from fusequote.maker import RecordBook

    book = RecordBook(current().home)
    wanted = [hex_bytes("a device id", text, 16) for text in device_ids or ()] or book.devices()
    records = [book.load(device_id) for device_id in wanted]  # all of them are good, or none is imported
    with opened(store) as services:
        for record in records:
            services.import_device(record)
    return show("device import", {"devices": [record.device_id.hex() for record in records], "count": len(records)})


@device.command("revoke")
def revoke_device(
    device_id: Annotated[str, typer.Argument(help="The device, 32 hex digits: it cannot be undone.")],
    store: Store = None,
) -> int:
    """Give a device no key any more: each provisioning of it is refused. Keys that it has stay good."""
    from fusequote.cli.values import hex_bytes

    wanted = hex_bytes("the device id", device_id, 16)
    with opened(store) as services:
        return show("device revoke", services.provisioning.members.revoke_device(wanted).document())
