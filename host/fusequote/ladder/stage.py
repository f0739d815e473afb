"""The stage: computers with chips of one maker, and the people who appear on every rung.

Alice runs the honest application, Mallory attacks. Everything is in one home folder, which is the demo's own, and is
made when it is first asked for.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Self
from urllib.parse import quote as url_quote

from cryptography.hazmat.primitives.asymmetric import rsa

from fusequote.api import simulated_chip_url
from fusequote.chip import open_chip
from fusequote.enclave import MemoryImage
from fusequote.enclave.entrykey import EntryKey
from fusequote.enclave.measure import mrenclave
from fusequote.enclave.signing import generate_signing_key
from fusequote.home import Home
from fusequote.ladder.computer import Computer, Program
from fusequote.ladder.fuses import Fuses
from fusequote.ladder.images import application_image, keyed_application_image, quoting_image
from fusequote.ladder.rung import Level
from fusequote.maker import RecordBook, manufacture
from fusequote.platform.entry import Enclave
from fusequote.platform.images import KeyedImage
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote.services.provisioning import load_provisioning_keys
from fusequote.services.roots import load_service_keys

__all__ = ["CPUSVN_FIRST", "CPUSVN_NOW", "CPUSVN_OLD", "Stage"]

#: The maker's generations. A boot walks each chain of the ratchet from 255 down to the chip's, so high ones are quick.
CPUSVN_FIRST, CPUSVN_OLD, CPUSVN_NOW = (bytes([component]) * 16 for component in (0xFC, 0xFD, 0xFE))


class Stage:
    """``scheme`` is ``model`` or ``sim``; ``cache`` the folder for builds of ``sim``. Close it in the end."""

    def __init__(self, home: Home, scheme: str = "model", cache: str | None = None):
        self.home, self.scheme, self.cache = home, scheme, cache
        self.book, self.signers = RecordBook(home), Signers(home)
        self._computers: dict[str, Computer] = {}
        self._quoting: dict[str, Enclave] = {}
        self._stack = contextlib.ExitStack()
        # RSA keys with exponent 3 take their time: they are made while chips boot and measure.
        self._makers = ThreadPoolExecutor(2, thread_name_prefix="keys")
        self._stack.callback(self._makers.shutdown, wait=True, cancel_futures=True)
        for make in (lambda: self.signers.provisioning_signers(), lambda: self.signers.application):
            self._makers.submit(make)
        self._alice, self._mallory = (self._makers.submit(generate_signing_key) for _ in range(2))
        self._makers.submit(lambda: self.signers.entry)

    def expect_services(self) -> None:
        """Make the services' keys, too, before they are asked for."""
        for load in (load_service_keys, load_provisioning_keys):
            self._makers.submit(load, self.home)

    # computers

    def url(self, name: str) -> str:
        """Of the simulated chip of this name."""
        url = simulated_chip_url(self.home, self.scheme, name)
        return f"{url}&cache={url_quote(self.cache, safe='/')}" if self.scheme == "sim" and self.cache else url

    def socket(self, name: str) -> Path:
        """Where the daemon of the computer of this name listens."""
        return self.home.root / f"{name}.sock"

    def keep(self, computer: Computer) -> Computer:
        """Close this computer, too, in the end."""
        self._stack.callback(computer.close)
        return computer

    def computer(self, name: str, cpusvn: bytes = CPUSVN_NOW) -> Computer:
        """The computer of this name, with a chip that the maker has made at this CPUSVN, and its daemon running."""
        if name not in self._computers:
            device = open_chip(self.url(name))
            try:
                manufacture(
                    device,
                    self.book,
                    provisioning_signers=self.signers.provisioning_signers(),
                    lepubkeyhash=mrsigner_of(self.signers.application),
                    cpusvn=cpusvn,
                )
            except BaseException:
                device.close()
                raise
            computer = self.keep(Computer(name, device, self.socket(name)))
            computer.serve()
            self._computers[name] = computer
        return self._computers[name]

    def fuses(self, name: str) -> Fuses:
        """The root keys of a computer's chip, as nobody on the link gets them."""
        return Fuses.read(self.home.chips / f"{name}.fuses")

    # enclaves

    def image(self, level: Level) -> MemoryImage:
        """The application as anybody may have it; at L2 its entry key goes with :attr:`entry_key`."""
        return self._images[level]

    def measurement(self, level: Level) -> bytes:
        """MRENCLAVE that relying parties expect at this level."""
        return self._measurements[level]

    def alice(self, computer: Computer, level: Level) -> Program:
        """The honest application on a computer, at this level."""
        return computer.program(level, self._images[level])

    def quoting_enclave(self, computer: Computer) -> Enclave:
        """The ladder's Quoting Enclave on a computer, launched when it is first asked for."""
        if computer.name not in self._quoting:
            self._quoting[computer.name] = computer.launch(self.quoting_image)
        return self._quoting[computer.name]

    def reboot(self, computer: Computer) -> None:
        """The chip is reset: every enclave on it is gone, and every entry."""
        computer.end_clients()
        self._quoting.pop(computer.name, None)
        computer.device.reset()
        computer.serve()

    @cached_property
    def _images(self) -> dict[Level, MemoryImage]:
        signer = self.signers.application
        return {Level.L1: application_image(signer), Level.L2: keyed_application_image(signer, self.entry_key)}

    @cached_property
    def _measurements(self) -> dict[Level, bytes]:
        return {level: mrenclave(image) for level, image in self._images.items()}

    @cached_property
    def quoting_image(self) -> KeyedImage:
        """The ladder's Quoting Enclave."""
        return quoting_image(self.signers.architectural, self.signers.entry)

    # keys

    @cached_property
    def entry_key(self) -> EntryKey:
        """Alice's: enters her application at L2. It is in the memory of this process and nowhere else."""
        return EntryKey(self._alice.result())

    @property
    def mallory_signer(self) -> rsa.RSAPrivateKey:
        """Mallory signs enclaves of her own."""
        return self._mallory.result()

    @cached_property
    def mallory_entry(self) -> EntryKey:
        """An entry key of Mallory's own: she has but one key."""
        return EntryKey(self._mallory.result())

    def close(self) -> None:
        """End every computer."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
