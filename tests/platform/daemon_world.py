"""The platform daemon in a thread of the test, over a real socket, with its clock in the test's hands."""

import contextlib
import dataclasses
import threading

import pytest
from chain_world import SPID, Ready, copy_home, make_ready
from fusequote.platform.client import PlatformClient
from fusequote.platform.daemon import Daemon, Limits
from fusequote.platform.daemon_calls import Calls
from fusequote.platform.daemon_slots import Broker
from fusequote.platform.daemon_turns import SharedChip, Turns
from fusequote.platform.daemon_wire import PlatformError
from fusequote.platform.images import signed_sample
from fusequote.platform.signers import Signers


def raises(code):
    return pytest.raises(PlatformError, check=lambda error: error.code is code)


@dataclasses.dataclass
class House:
    """A daemon that runs in a thread, and what the tests turn about it."""

    ready: Ready
    path: str
    daemon: Daemon
    device: object
    now: list[float]
    told: list[str]

    def client(self) -> PlatformClient:
        return PlatformClient(self.path)

    def image(self):
        return signed_sample(Signers(self.ready.platform.home))


@contextlib.contextmanager
def running(home, folder, *, lock_launch=False, users=(), **limits):
    ready = make_ready(home, lock_launch=lock_launch)
    platform, turns, now, told = ready.platform, Turns(), [0.0], []
    platform.remove(ready.application.enclave)
    device = platform.chip
    shared = SharedChip(device, turns)
    platform.chip = shared
    # The Quoting Enclave was launched before the daemon was: its chip is the shared one from here on.
    enclave = platform.quoting_enclave.enclave
    object.__setattr__(enclave, "launched", dataclasses.replace(enclave.launched, chip=shared))
    own = enclave.identity
    limit = Limits(**limits)
    broker = Broker(device, turns, own=1, lease=limit.lease, clock=lambda: now[0])
    calls = Calls(platform, platform.services.constants, make_room=broker.make_room)
    path = folder / "d.sock"
    daemon = Daemon(
        path, device, broker, calls, limits=limit, users=frozenset(users), tell=told.append, clock=lambda: now[0]
    )
    thread = threading.Thread(target=daemon.serve)
    thread.start()
    try:
        yield House(ready, str(path), daemon, device, now, told)
    finally:
        daemon.stop()
        thread.join()
        assert not path.exists()
        platform.chip = device
        object.__setattr__(enclave, "launched", dataclasses.replace(enclave.launched, chip=device))
        platform._launched[:] = [enclave.launched]
        # Whatever the clients did, the daemon left the chip with its own enclave only.
        assert device.slot_info(enclave.launched.handle).mrenclave == own.mrenclave
        handles = [device.ecreate(house_secs(home)) for _ in range(device.identity.slots - 1)]
        for handle in handles:
            device.eremove(handle)
        platform.close()


def house_secs(home):
    from fusequote.enclave.load import base_for

    secs = signed_sample(Signers(home)).secs
    return secs.replace(baseaddr=base_for(secs))


@pytest.fixture(scope="module")
def house(keyed_home, tmp_path_factory):
    """A daemon that the tests of a module share."""
    with running(copy_home(keyed_home, tmp_path_factory.mktemp("daemon")), tmp_path_factory.mktemp("socket")) as house:
        yield house


def make_quote(client, house, **options):
    application = client.launch(house.image())
    target, _ = client.init_quote()
    report = application.report(target, b"data")
    return application, target, client.get_quote(report.to_bytes(), spid=SPID, **options)
