"""What one of several processes does with the store that all share. Imported by the processes; imports no pytest."""

from __future__ import annotations

import secrets

from fusequote.arch import Psvn
from fusequote.epid import PrivRl
from fusequote.services.derivation import ProvisioningIdentity
from fusequote.services.registry import Registry
from fusequote.services.store import NonceBook, NonceState, Store
from store_app import LIFETIME, _issue

KEY = bytes(32)
IDENTITY = ProvisioningIdentity(b"s" * 32, 1)
NONCES = [b"nonce %d" % number for number in range(12)]
REVOCATIONS = 5


def open_store(url: str) -> Registry:
    return Registry(Store(url, KEY), IDENTITY)


def prepare(url: str, devices: int) -> tuple[bytes, list[bytes]]:
    """A group and devices in it, and nonces that are good."""
    registry = open_store(url)
    book = NonceBook(registry.store, "race", LIFETIME)
    for nonce in NONCES:
        book.remember(nonce)
    gid = registry.create_group(Psvn())
    ppids = [registry.register(bytes([number]) * 16, secrets.token_bytes(16), bytes(16)) for number in range(devices)]
    registry.store.close()
    return gid, ppids


def arrive(url: str, go) -> str:
    """Open a store that may not have been made yet, with all others at once."""
    go.wait()
    registry = open_store(url)
    found = registry.levels()
    registry.store.close()
    return f"{len(found)} levels"


def race(url: str, go, gid: bytes, ppids: list[bytes]) -> dict[str, object]:
    """Use up every nonce, have an x issued for every device, and revoke keys, with all others at once."""
    registry = open_store(url)
    book = NonceBook(registry.store, "race", LIFETIME)
    go.wait()
    accepted = [nonce for nonce in NONCES if book.consume(nonce)[0] is NonceState.FRESH]
    issued = {ppid: _issue(registry, gid, ppid) for ppid in ppids}
    versions = []
    for _ in range(REVOCATIONS):
        entry = 1 + secrets.randbits(248)
        versions.append(registry._next(gid, PrivRl, lambda now, entry=entry: now.adding(entry)).version)
    registry.store.close()
    return {"accepted": accepted, "issued": issued, "versions": versions}


def child(out, name: str, *arguments: object) -> None:
    """Run one of these functions, and send what it gives or raises."""
    try:
        out.put((True, globals()[name](*arguments)))
    except Exception as error:
        out.put((False, f"{type(error).__name__}: {error}"))
