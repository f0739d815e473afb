"""The maker's records, one encrypted file per device.

File: ``FQ-MAKER`` ‖ version 1 ‖ kind of key (0 key file, 1 passphrase) ‖ salt 16 ‖ nonce 12 ‖ AES-256-GCM of
the record (JSON), with everything before the nonce and the device id as associated data.

What this protects: with the environment variable ``FUSEQUOTE_MAKER_PASSPHRASE`` set, the key comes from it
(scrypt, N = 2^15) and whoever copies the home folder learns no root provisioning key without it. Without it
the key is the file ``keys/maker.key`` of the same home folder: that only keeps a record that leaves the
folder alone (a backup of ``maker/``, a file sent by mistake) from being readable, and protects from nobody
who can read the whole folder.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from fusequote.errors import UsageError
from fusequote.home import CorruptFile, Home, write_atomic
from fusequote.verdict import Reason, refuse

__all__ = ["PASSPHRASE_VARIABLE", "DeviceRecord", "RecordBook"]

PASSPHRASE_VARIABLE = "FUSEQUOTE_MAKER_PASSPHRASE"
_MAGIC, _VERSION = b"FQ-MAKER", 1
_KEY_FILE, _PASSPHRASE = 0, 1
_HEAD, _NONCE = 8 + 1 + 1 + 16, 12
_BYTES = ("device_id", "root_provisioning_key", "cpusvn", "signer0", "signer1", "lepubkeyhash")
_FLAGS = ("lepubkeyhash_locked", "locked")


@dataclass(frozen=True)
class DeviceRecord:
    """What the maker keeps of a device. ``locked`` is False until the chip was seen to boot as locked."""

    device_id: bytes
    root_provisioning_key: bytes = field(repr=False)
    cpusvn: bytes
    signer0: bytes
    signer1: bytes
    lepubkeyhash: bytes
    lepubkeyhash_locked: bool = False
    locked: bool = False


class RecordBook:
    """The records of one home folder."""

    def __init__(self, home: Home):
        self._home = home

    def path(self, device_id: bytes) -> Path:
        """The file of a device."""
        return self._home.maker / f"{device_id.hex()}.record"

    def devices(self) -> list[bytes]:
        """The ids of all devices with a record."""
        names = (path.stem for path in sorted(self._home.maker.glob("*.record")))
        return [bytes.fromhex(name) for name in names if len(name) == 32 and set(name) <= set("0123456789abcdef")]

    def add(self, record: DeviceRecord) -> None:
        """Keep a new record. Raises :class:`Refused` (maker.device-exists) rather than overwrite one."""
        try:
            write_atomic(self.path(record.device_id), self._seal(record), exclusive=True)
        except FileExistsError:
            raise refuse(Reason.DEVICE_EXISTS, record.device_id.hex()) from None

    def replace(self, record: DeviceRecord) -> None:
        """Write a record anew."""
        write_atomic(self.path(record.device_id), self._seal(record))

    def discard(self, device_id: bytes) -> None:
        """Forget a device whose fuses were never burnt."""
        self.path(device_id).unlink(missing_ok=True)

    def load(self, device_id: bytes) -> DeviceRecord:
        """Read a record. Raises :class:`UsageError` for an unknown device or a missing passphrase, and
        :class:`CorruptFile` for a damaged record or a wrong passphrase.
        """
        path = self.path(device_id)
        if not path.exists():
            raise UsageError(f"the maker has no record of device {device_id.hex()}", hint=f"looked for {path}")
        data = self._home.read(path, limit=1 << 16)
        if len(data) < _HEAD + _NONCE or not data.startswith(_MAGIC) or data[8] != _VERSION:
            raise CorruptFile(path, "is no maker's record of this version")
        head, nonce, sealed = data[:_HEAD], data[_HEAD : _HEAD + _NONCE], data[_HEAD + _NONCE :]
        key = self._key(head[9], head[10:], path)
        try:
            fields = json.loads(AESGCM(key).decrypt(nonce, sealed, head + device_id))
            return DeviceRecord(
                **{name: bytes.fromhex(fields[name]) for name in _BYTES},
                **{name: bool(fields.get(name, False)) for name in _FLAGS},
            )
        except InvalidTag:
            hint = f"is {PASSPHRASE_VARIABLE} the passphrase that it was written with?"
            raise CorruptFile(path, "does not decrypt", hint=hint) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptFile(path, "decrypts, but is no record") from error

    def _seal(self, record: DeviceRecord) -> bytes:
        kind = _PASSPHRASE if os.environ.get(PASSPHRASE_VARIABLE) else _KEY_FILE
        head = _MAGIC + bytes((_VERSION, kind)) + secrets.token_bytes(16)
        nonce = secrets.token_bytes(_NONCE)
        fields = {name: getattr(record, name).hex() for name in _BYTES}
        fields |= {name: getattr(record, name) for name in _FLAGS}
        key = self._key(kind, head[10:], self.path(record.device_id))
        return head + nonce + AESGCM(key).encrypt(nonce, json.dumps(fields).encode(), head + record.device_id)

    def _key(self, kind: int, salt: bytes, path: Path) -> bytes:
        if kind == _KEY_FILE:
            return self._home.secret("maker")
        if kind != _PASSPHRASE:
            raise CorruptFile(path, f"kind of key {kind} is not known")
        passphrase = os.environ.get(PASSPHRASE_VARIABLE)
        if not passphrase:
            raise UsageError(f"{path} is under a passphrase", hint=f"set {PASSPHRASE_VARIABLE}")
        return Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=1).derive(passphrase.encode())
