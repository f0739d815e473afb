"""Groups, lists and subscriptions as documents of the admin API and of `fusequote service --json`."""

from __future__ import annotations

from typing import Any

from fusequote.services.attestation_operator import GroupState, ListState
from fusequote.services.attestation_subscriptions import Subscriber

__all__ = ["group_document", "list_document", "subscriber_document"]


def group_document(state: GroupState) -> dict[str, Any]:
    """A group; ``gid`` as in the sigrl endpoint's path, big-endian."""
    return {
        "gid": state.gid.hex(),
        "cpusvn": state.cpusvn.hex(),
        "isvsvn": state.isvsvn,
        "pce_svn": state.pce_svn,
        "joins": state.joins,
        "out_of_date": state.out_of_date,
        "configuration_needed": state.configuration_needed,
        "sw_hardening_needed": state.sw_hardening_needed,
        "advisory_ids": list(state.advisory_ids),
        "revocation_reason": state.revocation_reason,
        "sigrl_version": state.sigrl_version,
        "privrl_version": state.privrl_version,
    }


def list_document(state: ListState) -> dict[str, Any]:
    """A list; ``spid`` is null but for a verifier's own."""
    return {
        "gid": state.gid.hex(),
        "version": state.version,
        "entries": state.entries,
        "spid": None if state.spid is None else state.spid.hex(),
    }


def subscriber_document(subscriber: Subscriber) -> dict[str, Any]:
    """A subscription without its keys, which nobody knows any more."""
    return {
        "spid": subscriber.spid.hex(),
        "name": subscriber.name,
        "linkable": subscriber.linkable,
        "active": subscriber.active,
    }
