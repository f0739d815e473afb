"""Operate the services: groups and devices, TCB statuses, revocation, lists, subscriptions, keys.

The commands work on the store itself, of the home folder or of the settings; running servers follow at once.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fusequote.cli import service_groups
from fusequote.cli.operating import Store, opened, show, show_all
from fusequote.cli.settings import current
from fusequote.errors import UsageError

if TYPE_CHECKING:
    from fusequote.services.attestation_operator import GroupState, Operator
    from fusequote.services.attestation_subscriptions import Subscriptions

__all__ = ["app"]

#: A quote with proofs for 100,000 entries; a member's key.
_QUOTE_LIMIT, _KEY_LIMIT = 1 << 24, 4096

app = typer.Typer(add_completion=False)
revoke = typer.Typer(add_completion=False)
app.add_typer(revoke, name="revoke")
app.add_typer(service_groups.group, name="group")
app.add_typer(service_groups.device, name="device")

Gid = Annotated[str, typer.Argument(help="EPID group, 8 hex digits, big-endian.")]
Spid = Annotated[str, typer.Argument(help="SPID, 32 hex digits.")]
QuoteFile = Annotated[Path, typer.Argument(help="A QUOTE, as `fusequote quote --out` writes it.")]


@app.callback()
def _group() -> None:
    """Operate the services: groups and devices, TCB statuses, revocation, lists, subscriptions, keys."""


@revoke.callback()
def _revoke_group() -> None:
    """Revoke a group, a leaked key, the maker of a quote."""


@contextlib.contextmanager
def _opened(store: str | None) -> Iterator[tuple[Operator, Subscriptions]]:
    from fusequote.services.attestation_operator import Operator
    from fusequote.services.attestation_subscriptions import Subscriptions

    with opened(store) as services:
        yield Operator(services.registry, services.keys), Subscriptions(services.store)


def _bytes(name: str, text: str, size: int) -> bytes:
    from fusequote.cli.values import hex_bytes

    return hex_bytes(name, text, size)


def _read(path: Path, what: str, limit: int) -> bytes:
    from fusequote.cli.values import read_limited

    return read_limited(path, what, limit)


@app.command()
def groups(store: Store = None) -> int:
    """List the EPID groups with their TCB records; `--json` has every field."""
    from fusequote.cli.output import table
    from fusequote.services.attestation_describe import group_document

    with _opened(store) as (operator, _):
        states = operator.groups()
    if current().json:
        return show_all("groups", [group_document(state) for state in states], "gid")
    table(
        "groups",
        ["gid", "CPUSVN, PvE, PCE", "joins", "reports say", "SigRL", "PrivRL"],
        [
            [
                state.gid.hex(),
                f"{state.cpusvn.hex()} {state.isvsvn} {state.pce_svn}",
                "yes" if state.joins and state.revocation_reason is None else "no",
                _said_of(state),
                str(state.sigrl_version or "-"),
                str(state.privrl_version or "-"),
            ]
            for state in states
        ],
    )
    return 0


def _said_of(state: GroupState) -> str:
    """What is said of a good quote of the group, in words."""
    if state.revocation_reason is not None:
        return f"revoked (reason {state.revocation_reason})"
    flags = {
        "out of date": state.out_of_date,
        "configuration needed": state.configuration_needed,
        "hardening needed": state.sw_hardening_needed,
    }
    return ", ".join([*(name for name, is_set in flags.items() if is_set), *state.advisory_ids]) or "OK"


@app.command()
def tcb(
    gid: Gid,
    out_of_date: Annotated[bool | None, typer.Option("--out-of-date/--up-to-date", help="The TCB is old.")] = None,
    configuration: Annotated[
        bool | None, typer.Option("--configuration-needed/--no-configuration-needed", help="A setting is needed.")
    ] = None,
    hardening: Annotated[
        bool | None, typer.Option("--sw-hardening-needed/--no-sw-hardening-needed", help="Mitigations are needed.")
    ] = None,
    joins: Annotated[bool | None, typer.Option("--joins/--no-joins", help="The group takes members.")] = None,
    advisory: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="An advisory's id; repeatable, in place of those before.")
    ] = None,
    no_advisories: Annotated[bool, typer.Option("--no-advisories", help="Name no advisories any more.")] = False,
    store: Store = None,
) -> int:
    """Set what reports say of a group's TCB; what is not named stays."""
    from fusequote.services.attestation_describe import group_document

    if advisory and no_advisories:
        raise UsageError("--advisory and --no-advisories exclude each other")
    number = _bytes("the group", gid, 4)
    with _opened(store) as (operator, _):
        state = operator.set_tcb(
            number,
            out_of_date=out_of_date,
            configuration_needed=configuration,
            sw_hardening_needed=hardening,
            joins=joins,
            advisory_ids=[] if no_advisories else advisory or None,
        )
    return show("tcb", group_document(state))


@revoke.command("group")
def revoke_group(
    gid: Gid,
    reason: Annotated[int, typer.Option(help="CRLReason of RFC 5280: 0 to 6, 8 to 10.")] = 0,
    store: Store = None,
) -> int:
    """Revoke an EPID group: no quote of it is good until its platforms have joined another."""
    from fusequote.services.attestation_describe import group_document

    number = _bytes("the group", gid, 4)
    with _opened(store) as (operator, _):
        return show("revoke group", group_document(operator.revoke_group(number, reason)))


@revoke.command("key")
def revoke_key(
    key: Annotated[Path, typer.Argument(help="A member's private key: 132, 144, 68 or 80 bytes.")], store: Store = None
) -> int:
    """Put a member's leaked private key on its group's PrivRL."""
    from fusequote.services.attestation_describe import list_document

    data = _read(key, "a member's key", _KEY_LIMIT)
    with _opened(store) as (operator, _):
        return show("revoke key", list_document(operator.revoke_key(data)))


@revoke.command("signature")
def revoke_signature(quote: QuoteFile, store: Store = None) -> int:
    """Put the maker of a quote on its group's SigRL."""
    from fusequote.services.attestation_describe import list_document

    data = _read(quote, "a quote", _QUOTE_LIMIT)
    with _opened(store) as (operator, _):
        return show("revoke signature", list_document(operator.revoke_signature(data)))


@app.command("shut-out")
def shut_out(
    quote: Annotated[Path | None, typer.Argument(help="A linkable QUOTE of the platform.")] = None,
    gid: Annotated[str | None, typer.Option(metavar="HEX", help="Its group, with --spid and --pseudonym.")] = None,
    spid: Annotated[str | None, typer.Option(metavar="HEX", help="The service provider.")] = None,
    pseudonym: Annotated[
        str | None, typer.Option(metavar="BASE64", help="The epidPseudonym of a report, in place of a quote.")
    ] = None,
    store: Store = None,
) -> int:
    """Put a platform on a service provider's own list (VerifierRL): its linkable quotes for that SPID are refused."""
    from fusequote.services.attestation_describe import list_document

    if quote is not None and (gid, spid, pseudonym) == (None, None, None):
        data = _read(quote, "a quote", _QUOTE_LIMIT)
        with _opened(store) as (operator, _):
            return show("shut-out", list_document(operator.shut_out(data)))
    if quote is not None or gid is None or spid is None or pseudonym is None:
        raise UsageError("give a quote, or --gid, --spid and --pseudonym")
    group, provider = _bytes("--gid", gid, 4), _bytes("--spid", spid, 16)
    try:
        name = base64.b64decode(pseudonym, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("--pseudonym is not base64") from None
    with _opened(store) as (operator, _):
        return show("shut-out", list_document(operator.shut_out_pseudonym(group, provider, name)))


@app.command()
def lists(store: Store = None) -> int:
    """List the service providers' own lists."""
    from fusequote.services.attestation_describe import list_document

    with _opened(store) as (operator, _):
        return show_all("lists", [list_document(state) for state in operator.verifier_lists()], "spid", "gid")


@app.command()
def publish(
    kind: Annotated[str, typer.Argument(help="sigrl, privrl or grouprl.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Write the signed list there.")],
    gid: Annotated[str | None, typer.Argument(help="The group of a sigrl or privrl.")] = None,
    store: Store = None,
) -> int:
    """Write a revocation list as a file, signed by the EPID signing key, in SGX's form."""
    from fusequote.cli.values import check_writable, write_output
    from fusequote.services.attestation_operator import ListKind

    if kind not in [member.value for member in ListKind]:
        raise UsageError(f"there is no list {kind!r}", hint="sigrl, privrl or grouprl")
    number = None if gid is None else _bytes("the group", gid, 4)
    check_writable(out)
    with _opened(store) as (operator, _):
        data = operator.publish(ListKind(kind), number)
    write_output(out, data)
    return show("publish", {"list": kind, "file": str(out), "bytes": len(data)})


@app.command()
def subscribe(
    name: Annotated[str, typer.Argument(help="The service provider's name.")],
    linkable: Annotated[bool, typer.Option("--linkable", help="Its quotes are linkable. Default: unlinkable.")] = False,
    spid: Annotated[str | None, typer.Option(metavar="HEX", help="16 bytes. Default: random ones.")] = None,
    store: Store = None,
) -> int:
    """Make a subscription: SPID, and two keys that are shown this once."""
    from fusequote.services.attestation_describe import subscriber_document

    wanted = None if spid is None else _bytes("--spid", spid, 16)
    with _opened(store) as (_, subscriptions):
        made, primary, secondary = subscriptions.create(name, linkable=linkable, spid=wanted)
    return show("subscribe", subscriber_document(made) | {"primary": primary, "secondary": secondary})


@app.command("subscriptions")
def list_subscriptions(store: Store = None) -> int:
    """List the subscriptions; their keys nobody knows any more."""
    from fusequote.services.attestation_describe import subscriber_document

    with _opened(store) as (_, subscriptions):
        return show_all("subscriptions", [subscriber_document(one) for one in subscriptions.all()], "spid")


@app.command("renew-key")
def renew_key(
    spid: Spid,
    slot: Annotated[str, typer.Option(help="primary or secondary.")] = "primary",
    store: Store = None,
) -> int:
    """Give a subscription a new key in place of its primary or secondary one, which is void at once."""
    from fusequote.services.attestation_subscriptions import KeySlot

    if slot not in [member.value for member in KeySlot]:
        raise UsageError(f"there is no key {slot!r}", hint="--slot primary or --slot secondary")
    provider = _bytes("the SPID", spid, 16)
    with _opened(store) as (_, subscriptions):
        key = subscriptions.renew_key(provider, KeySlot(slot))
    return show("renew-key", {"spid": provider.hex(), slot: key})


@app.command()
def unsubscribe(
    spid: Spid,
    undo: Annotated[bool, typer.Option("--undo", help="Take the subscription up again.")] = False,
    store: Store = None,
) -> int:
    """End a subscription: its keys are void."""
    from fusequote.services.attestation_describe import subscriber_document

    provider = _bytes("the SPID", spid, 16)
    with _opened(store) as (_, subscriptions):
        return show("unsubscribe", subscriber_document(subscriptions.set_active(provider, undo)))


@app.command("admin-key")
def admin_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    remove: Annotated[bool, typer.Option("--remove", help="Make the name's key void.")] = False,
    store: Store = None,
) -> int:
    """Make a key of the admin API, shown this once; the name's key before it is void."""
    with _opened(store) as (_, subscriptions):
        if remove:
            subscriptions.remove_admin_key(name)
            return show("admin-key", {"name": name, "removed": True})
        return show("admin-key", {"name": name, "key": subscriptions.new_admin_key(name)})


@app.command("admin-keys")
def admin_keys(store: Store = None) -> int:
    """List who has a key of the admin API."""
    with _opened(store) as (_, subscriptions):
        return show_all("admin-keys", [{"name": name, "key": True} for name in subscriptions.admins()], "name")


@app.command()
def pse(
    manifest_hash: Annotated[str, typer.Argument(help="SHA-256 of the PSE manifest, 64 hex digits.")],
    status: Annotated[str, typer.Argument(help="OK, UNKNOWN, INVALID, OUT_OF_DATE, REVOKED, RL_VERSION_MISMATCH.")],
    store: Store = None,
) -> int:
    """Set what reports say of a PSE manifest."""
    from fusequote.services.attestation_status import PseStatus

    if status not in [member.value for member in PseStatus]:
        raise UsageError(f"there is no status {status!r}", hint="one of " + ", ".join(PseStatus))
    digest = _bytes("the hash", manifest_hash, 32)
    with _opened(store) as (operator, _):
        operator.set_pse(digest, PseStatus(status))
    return show("pse", {"manifest_hash": digest.hex(), "status": status})
