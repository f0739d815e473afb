"""The architectural enclaves measure the programs that play them."""

from __future__ import annotations

import pytest
from fusequote.arch import AttributeFlags
from fusequote.enclave import ExtendChunks, mrenclave
from fusequote.platform import images
from fusequote.platform.images import pce_image, provisioning_image, quoting_image
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote.services.services import Services


@pytest.fixture
def parts(home):
    with Services(home) as services:
        yield services.constants, Signers(home)


def content(image) -> bytes:
    return b"".join(op.data for op in image.operations() if isinstance(op, ExtendChunks))


def test_the_program_is_in_the_image(parts):
    for make, own, other in (
        (quoting_image, "quoting", "provisioning"),
        (provisioning_image, "provisioning", "quoting"),
    ):
        measured = content(make(*parts))
        for name in (own, "sealing", "epidblob", "protocol"):
            assert (images._HERE / f"{name}.py").read_bytes() in measured
        assert (images._HERE / f"{other}.py").read_bytes() not in measured
        assert parts[0].to_bytes() in measured
        assert b"  verifier.py\n" in measured and b"  arithmetic/curve.py\n" in measured


def test_one_changed_file_is_another_enclave(parts, tmp_path, monkeypatch):
    before = mrenclave(quoting_image(*parts))
    assert before == mrenclave(quoting_image(*parts)) != mrenclave(provisioning_image(*parts))
    changed = dict(images._sources(("quoting.py", "application.py")))
    changed["epid.sha256"] = changed["epid.sha256"].replace(b"a", b"b", 1)
    monkeypatch.setattr(images, "_sources", lambda own: changed)
    assert mrenclave(quoting_image(*parts)) != before


def test_other_service_keys_are_another_enclave(parts, home):
    constants, signers = parts
    (home.keys / "qsdk.pem").unlink()
    with Services(home) as services:
        assert services.constants.isk == constants.isk
        assert mrenclave(quoting_image(services.constants, signers)) != mrenclave(quoting_image(*parts))


def test_who_signs_and_what_is_allowed(parts):
    _, signers = parts
    for make, provisionkey in ((quoting_image, False), (provisioning_image, True)):
        sigstruct = make(*parts).sigstruct
        assert sigstruct.mrsigner == mrsigner_of(signers.architectural)
        assert (sigstruct.isvprodid, sigstruct.isvsvn) == (1, 1)
        assert bool(sigstruct.attributes.flags & AttributeFlags.PROVISIONKEY) is provisionkey
        assert sigstruct.attributemask.flags & AttributeFlags.DEBUG  # never in DEBUG


def test_the_pce_is_another_signers_and_knows_no_service(parts):
    constants, signers = parts
    image = pce_image(signers)
    measured = content(image)
    for name in ("pce", "protocol", "entry"):
        assert (images._HERE / f"{name}.py").read_bytes() in measured
    assert constants.to_bytes() not in measured and b"arithmetic/curve.py" not in measured
    sigstruct = image.sigstruct
    assert sigstruct.mrsigner == mrsigner_of(signers.pce) != mrsigner_of(signers.architectural)
    assert sigstruct.attributes.flags & AttributeFlags.PROVISIONKEY
    assert sigstruct.attributemask.flags & AttributeFlags.DEBUG
    assert pce_image(signers, isvsvn=2).sigstruct.isvsvn == 2
    assert mrenclave(pce_image(signers, isvsvn=2)) == mrenclave(image)
