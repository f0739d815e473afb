"""Known answers, and every test on every arithmetic that is there."""

import pytest
from fusequote.epid import GroupPublicKey, Issuer, Member, MemberPrecomp, MemberPrivateKey
from fusequote.epid.arithmetic import available, load

from .support import vectors


@pytest.fixture(scope="session", params=available())
def arithmetic(request):
    return load(request.param)


@pytest.fixture(scope="session")
def known():
    """The known group and its members' keys."""
    data = vectors("group")["groups"][0]
    keys = {m["label"]: MemberPrivateKey.from_bytes(bytes.fromhex(m["private_key"])) for m in data["members"]}
    return data, GroupPublicKey.from_bytes(bytes.fromhex(data["group_public_key"])), keys


@pytest.fixture(scope="session")
def issuer(known):
    data, group, _ = known
    return Issuer.load(group.to_bytes() + bytes.fromhex(data["issuing_private_key"]))


@pytest.fixture(scope="session")
def precomps(known):
    return [MemberPrecomp.compute(known[1], key.A) for key in known[2].values()]


@pytest.fixture
def members(known, precomps):
    """Two members of the known group, fresh (a member remembers the version of its SigRL)."""
    _, group, keys = known
    return [Member(group, key, precomp=p) for key, p in zip(keys.values(), precomps, strict=True)]
