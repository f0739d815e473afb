"""A chip and the enclaves that were launched on it: manufacture and launch, steps 1 and 2 of the chain.

What decides is in the chip and the services; here they are only brought together, and what happens is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote as url_quote

from fusequote.arch import Attributes, EinitToken
from fusequote.chip import open_chip
from fusequote.chip.identity import LifeCycle
from fusequote.enclave import Image, MemoryImage, open_image
from fusequote.enclave.load import LaunchedEnclave, launch, needs_token
from fusequote.errors import DeviceError, UsageError
from fusequote.home import Home
from fusequote.maker import RecordBook, manufacture, unfinished
from fusequote.platform.application import ApplicationEnclave
from fusequote.platform.daemon_claim import check_free
from fusequote.platform.entry import Enclave
from fusequote.platform.images import KeyedImage, launch_image, signed_sample, with_debug
from fusequote.platform.launch import LaunchEnclave
from fusequote.platform.launchlist import LaunchList
from fusequote.platform.refusals import chip_refusals
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote.services.services import Services
from fusequote.steps import Listener, Meter, Steps
from fusequote.verdict import Party, Reason, Step, refuse

__all__ = ["EnclaveFile", "Machine", "Progress", "simulated_chip_url"]

#: An enclave as a user has it: a file, or an image made here; None is the sample.
EnclaveFile = Image | Path | str | None
Progress = Callable[[int, int], None]


def simulated_chip_url(home: Home, scheme: str = "model", name: str = "default") -> str:
    """The URL of a simulated chip whose fuses are in the home folder. ``scheme`` is ``model`` or ``sim``."""
    return f"{scheme}://?fuses={url_quote(str(home.chips / f'{name}.fuses'))}"


class Machine:
    """The chip at ``url`` (None: the home folder's model chip), and who was launched on it. Close it in the end.

    ``home``: a folder or a :class:`Home`; ``services``: those that are given the chip's record, by default the home
    folder's own; ``listener`` gets step events; ``cycles``: ask the chip what each command cost (by default all chips
    but the model). Closing removes the enclaves that were launched here and closes the chip.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        home: Home | str | Path | None = None,
        services: Services | None = None,
        listener: Listener | None = None,
        cycles: bool | None = None,
    ):
        self.home = home if isinstance(home, Home) else Home(home)
        self.url = simulated_chip_url(self.home) if url is None else url
        self._own_services = services is None
        self._services = services
        self.meter = Meter(not self.url.startswith("model:") if cycles is None else cycles)
        self.steps = Steps(listener, self.meter)
        check_free(self.home, self.url)
        self.chip = open_chip(self.url, trace=self.meter)
        self._launched: list[LaunchedEnclave] = []

    @classmethod
    def manufacture(cls, url: str | None = None, *, lock_launch: bool = False, **options) -> Self:
        """Open a blank chip, burn and lock its fuses, hand its record to the provisioning server.

        ``lock_launch`` locks LEPUBKEYHASH to our launch enclave's signer: all other signers' enclaves then start with
        a token of that enclave only (:meth:`launch_token`). Options as the constructor's. Raises :class:`Refused`
        (chip.*) for a chip that is not blank.
        """
        platform = cls(url, **options)
        try:
            platform.manufacture_chip(lock_launch=lock_launch)
        except BaseException:
            platform.close()
            raise
        return platform

    @property
    def services(self) -> Services:
        """The services that this platform provisions with."""
        if self._services is None:
            self._services = Services(self.home)
        return self._services

    @property
    def device_id(self) -> bytes:
        """Of the chip, 16 bytes."""
        return self.chip.identity.device_id

    # 1: manufacture

    def manufacture_chip(self, *, lock_launch: bool = False) -> None:
        """Manufacture and lock the chip; see :meth:`manufacture`."""
        signers, book = Signers(self.home), RecordBook(self.home)
        with self.steps.step(Step.MANUFACTURE, "burn and lock the fuses") as facts:
            made = manufacture(
                self.chip,
                book,
                provisioning_signers=signers.provisioning_signers(),
                lepubkeyhash=mrsigner_of(signers.launch if lock_launch else signers.application),
                lock_lepubkeyhash=lock_launch,
            )
            self.steps.exchange("FUSE_MANUFACTURE, FUSE_LOCK, RESET", Party.MAKER, Party.CHIP, sent=192)
            facts.update(device_id=made.device_id.hex(), cpusvn=made.status.cpusvn.hex(), resumed=made.resumed)
            self._enroll(book)

    def ensure_manufactured(self) -> None:
        """Manufacture a chip that is not locked yet; make sure that the services know one of our own."""
        status = self.chip.fuse_status()
        if status.life_cycle is not LifeCycle.LOCKED or unfinished(status, RecordBook(self.home)) is not None:
            self.manufacture_chip()
            return
        if not self.chip.identity.booted_locked:
            self.chip.reset()  # locked by a maker who did not wait for the boot
        with self.steps.step(Step.MANUFACTURE, "the chip was manufactured before") as facts:
            facts.update(device_id=status.device_id.hex(), cpusvn=status.cpusvn.hex())
            book = RecordBook(self.home)
            if status.device_id in book.devices():
                self._enroll(book)

    def _enroll(self, book: RecordBook) -> None:
        self.services.import_device(book.load(self.device_id))
        self.steps.exchange("device record", Party.MAKER, Party.PROVISIONING_SERVER)

    # 2: launch

    def launch(
        self,
        image: EnclaveFile = None,
        sigstruct: Path | str | None = None,
        *,
        debug: bool = False,
        token: EinitToken | None = None,
        progress: Progress | None = None,
    ) -> ApplicationEnclave:
        """Launch an application: a file (SGXS with its SIGSTRUCT, ``.signed.so``), an image, or None for the
        sample.

        The chip measures it. ``debug`` asks for DEBUG. ``token`` is an EINITTOKEN from :meth:`launch_token`; a chip
        that is locked to our launch enclave's signer gets one from it when none is given. Raises :class:`FormatError`
        for a bad file, :class:`Refused` (launch.*) for what the chip or the launch enclave refuses.
        """
        with self.steps.step(Step.LAUNCH, "launch the application enclave") as facts:
            with contextlib.ExitStack() as stack:
                opened = self.open_image(image, sigstruct, debug=debug)
                if opened is not image:
                    stack.callback(opened.close)
                application = ApplicationEnclave(self._launch(opened, progress, token))
            identity = application.enclave.identity
            facts.update(
                mrenclave=identity.mrenclave.hex(),
                mrsigner=identity.mrsigner.hex(),
                isvprodid=int(identity.isvprodid),
                isvsvn=int(identity.isvsvn),
                debug=identity.attributes.debug,
            )
        return application

    def open_image(
        self, image: EnclaveFile = None, sigstruct: Path | str | None = None, *, debug: bool = False
    ) -> Image:
        """The image that :meth:`launch` takes for these arguments. The caller closes one that it did not
        give.
        """
        if image is None:
            image = signed_sample(Signers(self.home))
        if not isinstance(image, Image):
            return open_image(image, sigstruct, debug=debug)
        if not debug:
            return image
        if not isinstance(image, MemoryImage):
            raise UsageError("this image was opened already; open it with debug=True")
        return with_debug(image)

    def launch_token(self, image: Image) -> EinitToken:
        """An EINITTOKEN for an image with its SIGSTRUCT: see :meth:`get_launch_token`.

        Raises :class:`UsageError` without a SIGSTRUCT.
        """
        if image.sigstruct is None:
            raise UsageError(f"{image.name}: no SIGSTRUCT", hint="give the file that holds it, or sign the image")
        return self.get_launch_token(image.sigstruct.enclavehash, image.sigstruct.mrsigner, image.secs.attributes)

    def get_launch_token(self, mrenclave: bytes, mrsigner: bytes, attributes: Attributes) -> EinitToken:
        """Our launch enclave's EINITTOKEN for such an enclave: launched for it (a slot), asked, and removed.

        Raises :class:`Refused`: launch.policy, and launch.invalid-einittoken on a chip that is locked to another launch
        enclave's signer.
        """
        signers = Signers(self.home)
        policy = LaunchList(self.home, signers).policy
        image = launch_image(policy, signers)
        if needs_token(self.chip, image):
            raise refuse(Reason.EINITTOKEN, "the chip is locked to the signer of another launch enclave than ours")
        with self._for_a_while(image) as enclave:
            token = LaunchEnclave(enclave, policy).token(mrenclave, mrsigner, attributes)
        self.steps.exchange(
            "EINITTOKEN", Party.LOADER, Party.LAUNCH, received=EinitToken.SIZE, mrenclave=mrenclave.hex()
        )
        return token

    def _launch(self, image: Image, progress: Progress | None = None, token: EinitToken | None = None) -> Enclave:
        if not self.chip.identity.booted_locked:
            raise refuse(Reason.CHIP_NOT_LOCKED, hint="manufacture the chip first")
        if token is None and needs_token(self.chip, image):
            token = self.launch_token(image)
        elif token is not None and not self.chip.identity.lepubkeyhash_locked:
            # As the driver of a PC without FLC finds it: what the token was made with.
            self.chip.set_lepubkeyhash(mrsigner_of(Signers(self.home).launch))
        with chip_refusals():
            launched = launch(self.chip, image, token=token, progress=progress)
        self._launched.append(launched)
        self.steps.exchange(
            "ECREATE, EADD, EEXTEND, EINIT",
            Party.LOADER,
            Party.CHIP,
            sent=image.chunk_count * 256,
            enclave=image.name,
            pages=image.page_count,
            mrenclave=launched.identity.mrenclave.hex(),
        )
        return Enclave(launched, image.entry_key if isinstance(image, KeyedImage) else None)

    def remove(self, enclave: Enclave) -> None:
        """Take an enclave off the chip."""
        enclave.remove()
        self._launched.remove(enclave.launched)

    @contextlib.contextmanager
    def _for_a_while(self, image: Image) -> Iterator[Enclave]:
        enclave = self._launch(image)
        try:
            yield enclave
        finally:
            with contextlib.suppress(DeviceError):
                self.remove(enclave)

    # end

    def close(self) -> None:
        """Remove the enclaves that were launched here, close the chip and services of our own."""
        with contextlib.suppress(DeviceError):
            for launched in reversed(self._launched):
                launched.remove()
        self._launched.clear()
        self.chip.close()
        if self._own_services and self._services is not None:
            self._services.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
