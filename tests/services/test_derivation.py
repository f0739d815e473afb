"""The server's derivation against the chip's: written twice, from one text."""

from __future__ import annotations

import pytest
from chain_world import copy_home
from fusequote.arch import AttributeFlags, KeyName, KeyRequest, Psvn
from fusequote.chain import Platform
from fusequote.maker import RecordBook
from fusequote.platform.images import AE_ISVPRODID, provisioning_image
from fusequote.platform.protocol import cmac
from fusequote.platform.provisioning import PROVISION_ATTRIBUTES, PROVISION_MISC_MASK
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote.services.derivation import ProvisioningIdentity, ppid, provision_key, root_for_cpusvn


@pytest.fixture(scope="module")
def genuine(keyed_home, tmp_path_factory):
    """A Provisioning Enclave on a chip, and the maker's record of that chip."""
    home = copy_home(keyed_home, tmp_path_factory.mktemp("derivation"))
    with Platform.manufacture(home=home) as platform:
        enclave = platform._launch(provisioning_image(platform.services.constants, Signers(home)))
        yield enclave, RecordBook(home).load(platform.device_id)


def identity(enclave) -> ProvisioningIdentity:
    return ProvisioningIdentity(enclave.identity.mrsigner, AE_ISVPRODID)


def from_chip(enclave, psvn: Psvn) -> bytes:
    request = KeyRequest(
        keyname=KeyName.PROVISION,
        cpusvn=psvn.cpusvn,
        isvsvn=psvn.isvsvn,
        attributemask=PROVISION_ATTRIBUTES,
        miscmask=PROVISION_MISC_MASK,
    )
    with enclave.entered() as inside:
        return inside.key(request)


def test_every_tcb_of_the_chip(genuine, rng):
    enclave, record = genuine
    levels = [Psvn(), Psvn(cpusvn=record.cpusvn, isvsvn=1), Psvn(cpusvn=record.cpusvn, isvsvn=0)]
    levels += [Psvn(cpusvn=bytes(rng.randrange(2) for _ in range(16)), isvsvn=rng.randrange(2)) for _ in range(5)]
    keys = set()
    for level in levels:
        key = provision_key(record.root_provisioning_key, identity(enclave), level)
        assert key == from_chip(enclave, level)
        keys.add(key)
    assert len(keys) == len(set(levels))
    assert cmac(from_chip(enclave, Psvn()), bytes(16)) == ppid(record.root_provisioning_key, identity(enclave))


def test_what_the_key_depends_on(genuine):
    enclave, record = genuine
    rpk, own, level = record.root_provisioning_key, identity(enclave), Psvn(cpusvn=record.cpusvn, isvsvn=1)
    others = [
        provision_key(bytes(16), own, level),
        provision_key(rpk, ProvisioningIdentity(bytes(32), AE_ISVPRODID), level),
        provision_key(rpk, ProvisioningIdentity(own.mrsigner, 2), level),
        provision_key(rpk, own, level.replace(isvsvn=2)),
    ]
    assert provision_key(rpk, own, level) not in others and len(set(others)) == len(others)


def test_the_enclave_is_what_the_server_takes_it_for(genuine, keyed_home):
    enclave, _ = genuine
    assert enclave.identity.mrsigner == mrsigner_of(Signers(keyed_home).architectural)
    assert enclave.identity.isvprodid == AE_ISVPRODID
    flags = enclave.identity.attributes.flags
    assert flags & AttributeFlags.PROVISIONKEY and not enclave.identity.attributes.debug


def test_the_ratchet_goes_one_way():
    """The key of an older CPUSVN is further down the same chain, so the newer one is not to be had from it."""
    rpk = bytes(range(16))
    newer, older = bytes([255]) + bytes([255] * 15), bytes([254]) + bytes([255] * 15)
    first = cmac(rpk, b"FQ-SVN\x00")
    rest = b"".join(cmac(rpk, b"FQ-SVN" + bytes([i])) for i in range(1, 16))
    assert root_for_cpusvn(rpk, newer) == cmac(first, rest)
    assert root_for_cpusvn(rpk, older) == cmac(cmac(first, b"FQ-STEP\x00"), rest)
