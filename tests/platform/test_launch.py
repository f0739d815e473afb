"""Launch control: chips that start what their owner signed, and chips that start what the launch enclave vouches for.

FUSEQUOTE_TEST_CHIP=sim runs all of it on the RTL (tests/rtl/test_launch_rtl.py).
"""

from __future__ import annotations

import shutil

import pytest
from chain_world import chip_url, copy_home, flip, refused
from daemon_world import raises, running
from fusequote.arch import AttributeFlags, Attributes, EinitToken, KeyName, KeyRequest
from fusequote.chain import Platform
from fusequote.chip import ChipFault, SgxError, Status
from fusequote.enclave import generate_signing_key, mrenclave, sample_image, sign_image
from fusequote.enclave.load import launch
from fusequote.errors import UsageError
from fusequote.home import CorruptFile, Home
from fusequote.maker import RecordBook, authorise
from fusequote.platform.daemon_wire import Call, PlatformCode
from fusequote.platform.images import KeyedImage, launch_image, pce_image, signed_sample, with_debug
from fusequote.platform.launch import LaunchEnclave, LaunchPolicy
from fusequote.platform.launchlist import LaunchList
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote.verdict import Reason

BAD_TOKEN, BAD_CPUSVN, BAD_ATTRIBUTE = "SGX_INVALID_EINITTOKEN", "SGX_INVALID_CPUSVN", "SGX_INVALID_ATTRIBUTE"
BAD_MEASUREMENT = "SGX_INVALID_MEASUREMENT"
NORMAL = Attributes(flags=AttributeFlags.MODE64BIT, xfrm=3)


@pytest.fixture(scope="module")
def launch_home(keyed_home, tmp_path_factory) -> Home:
    home = copy_home(keyed_home, tmp_path_factory.mktemp("launch"))
    _ = Signers(home).launch
    return home


@pytest.fixture
def home(launch_home, tmp_path) -> Home:
    return copy_home(launch_home, tmp_path)


@pytest.fixture(scope="module")
def stranger():
    """A signer that this home folder knows nothing of."""
    return generate_signing_key()


def powered(home: Home, name: str = "default", **options) -> Platform:
    return Platform.manufacture(chip_url(home, name), home=home, **options)


@pytest.fixture
def locked(home):
    with powered(home, lock_launch=True) as platform:
        yield platform


def sample_of(key, **draft):
    image = sample_image()
    return image.signed(sign_image(image, key, **draft))


def starts(platform: Platform, image, token: EinitToken | None) -> bytes:
    """MRENCLAVE of what the chip starts. The chip's own answer: nobody else is asked."""
    with launch(platform.chip, image, token=token, set_lepubkeyhash=False) as enclave:
        return enclave.identity.mrenclave


def test_unlocked_the_client_writes_the_register(home, stranger):
    with powered(home) as platform:
        assert not platform.chip.identity.lepubkeyhash_locked
        assert platform.launch().enclave.identity.mrsigner == mrsigner_of(Signers(home).application)
        own = sample_of(stranger)
        assert platform.launch(own).enclave.identity.mrsigner == mrsigner_of(stranger)
        platform.chip.set_lepubkeyhash(bytes(32))
        with pytest.raises(SgxError, match=BAD_TOKEN):
            starts(platform, own, None)


def test_unlocked_a_token_is_good_while_the_register_is_its_issuer_s(home):
    with powered(home) as platform:
        sample = signed_sample(Signers(home))
        token = platform.launch_token(sample)
        assert starts(platform, sample, token) == mrenclave(sample)  # the register is as the launch enclave left it
        platform.chip.set_lepubkeyhash(sample.sigstruct.mrsigner)
        with pytest.raises(SgxError, match=BAD_TOKEN):
            starts(platform, sample, token)
        assert platform.launch(token=token).enclave.identity.mrenclave == mrenclave(sample)


def test_locked_nothing_starts_without_a_token_but_the_launch_enclave(locked, home):
    chip, signers = locked.chip, Signers(home)
    assert chip.identity.lepubkeyhash_locked
    assert chip.fuse_status().lepubkeyhash == mrsigner_of(signers.launch)
    with pytest.raises(ChipFault, match="#GP"):
        chip.set_lepubkeyhash(mrsigner_of(signers.application))
    sample = signed_sample(signers)
    with pytest.raises(SgxError, match=BAD_TOKEN):
        starts(locked, sample, None)
    with pytest.raises(SgxError, match=BAD_TOKEN):
        starts(locked, sample, EinitToken())
    assert starts(locked, sample, locked.launch_token(sample)) == mrenclave(sample)
    image = launch_image(LaunchList(home).policy, signers)
    assert starts(locked, image, None) == mrenclave(image)
    other = locked.launch(sample)  # asks the launch enclave by itself
    assert other.enclave.identity.mrsigner == sample.sigstruct.mrsigner
    with refused(Reason.KEY_ATTRIBUTE), other.enclave.entered() as inside:
        inside.key(KeyRequest(keyname=KeyName.EINITTOKEN))


def test_the_whole_chain_on_a_locked_chip(locked):
    """Application, Quoting and Provisioning Enclave, PCE: all four slots, and the launch enclave in between."""
    application = locked.launch()
    assert locked.quote(application, b"data", spid=bytes(16)).quote


def test_clients_of_the_daemon_get_tokens(home, tmp_path, stranger):
    with running(home, tmp_path, lock_launch=True) as house, house.client() as client:
        image = sample_of(stranger)
        with refused(Reason.LAUNCH_POLICY):
            client.launch(image)
        LaunchList(home).allow(mrsigner_of(stranger))
        application = client.launch(image)
        assert application.enclave.identity.mrsigner == mrsigner_of(stranger)
        target, _ = client.init_quote()
        report = application.report(target, b"data").to_bytes()
        assert client.get_quote(report, spid=bytes(16)).quote
        token = client.get_launch_token(house.image())
        with launch(client.chip, house.image(), token=token) as own:
            assert own.identity.mrenclave == mrenclave(house.image())
        with raises(PlatformCode.PARAMETER):
            client._call(Call.GET_LAUNCH_TOKEN, bytes(79))
        with pytest.raises(UsageError, match="no SIGSTRUCT"):
            client.get_launch_token(sample_image())


def test_who_may_be_launched(locked, home, stranger):
    image, listed = sample_of(stranger), LaunchList(home)
    signer = mrsigner_of(stranger)
    with refused(Reason.LAUNCH_POLICY):
        locked.launch(image)
    debug = locked.launch(image, debug=True)
    assert debug.enclave.identity.attributes.debug
    assert listed.allow(signer) and not listed.allow(signer) and listed.others == (signer,)
    token = locked.launch_token(image)
    assert not locked.launch(image, token=token).enclave.identity.attributes.debug
    listed.forbid(signer)
    with refused(Reason.LAUNCH_POLICY):
        locked.launch(image)
    assert starts(locked, image, token) == mrenclave(image)  # what was issued stays good
    with pytest.raises(UsageError, match="not on the list"):
        listed.forbid(signer)
    with pytest.raises(UsageError, match="one of our own"):
        listed.forbid(mrsigner_of(Signers(home).pce))


#: Where one bit of a token is turned, and what EINIT says of it.
ALTERED = {
    "valid, upper bits": (1, BAD_TOKEN),
    "not valid": (0, BAD_TOKEN),
    "reserved": (8 * 20, BAD_TOKEN),
    "attributes": (8 * 48 + 7, BAD_TOKEN),
    "mrenclave": (8 * 64, BAD_TOKEN),
    "mrsigner": (8 * 159 + 7, BAD_TOKEN),
    "reserved before the key": (8 * 191, BAD_TOKEN),
    "cpusvn above": (8 * 192 + 1, BAD_CPUSVN),
    "cpusvn below": (8 * 207, BAD_TOKEN),
    "isvprodid": (8 * 208, BAD_TOKEN),
    "isvsvn": (8 * 210, BAD_TOKEN),
    "cet": (8 * 212, BAD_TOKEN),
    "reserved behind": (8 * 213, BAD_TOKEN),
    "miscselect": (8 * 236, BAD_TOKEN),
    "masked attributes": (8 * 240 + 2, BAD_TOKEN),
    "masked debug": (8 * 240 + 1, BAD_TOKEN),
    "keyid": (8 * 287, BAD_TOKEN),
    "mac, first": (8 * 288, BAD_TOKEN),
    "mac, last": (8 * 303 + 7, BAD_TOKEN),
}


def test_altered_tokens(locked, home):
    sample = signed_sample(Signers(home))
    good = locked.launch_token(sample)
    said = {}
    for what, (bit, _) in ALTERED.items():
        with pytest.raises(SgxError) as caught:
            starts(locked, sample, EinitToken.from_bytes(flip(good.to_bytes(), bit)))
        said[what] = Status(caught.value.status).name
    assert said == {what: code for what, (_, code) in ALTERED.items()}
    assert starts(locked, sample, good) == mrenclave(sample)


def test_a_token_is_for_one_enclave(locked, home, stranger):
    sample, debug = signed_sample(Signers(home)), with_debug(signed_sample(Signers(home)))
    normal_token, debug_token = locked.launch_token(sample), locked.launch_token(debug)
    for image, token in ((debug, normal_token), (sample, debug_token)):
        with pytest.raises(SgxError, match=BAD_ATTRIBUTE):
            starts(locked, image, token)
    assert starts(locked, debug, debug_token) == mrenclave(sample)
    another = sample_image("another")
    another = another.signed(sign_image(another, Signers(home).application))
    for image in (another, sample_of(stranger)):  # MRENCLAVE, MRSIGNER
        with pytest.raises(SgxError, match=BAD_MEASUREMENT):
            starts(locked, image, normal_token)


def test_a_token_is_for_one_chip_and_one_owner(locked, home):
    sample = signed_sample(Signers(home))
    token = locked.launch_token(sample)
    with powered(home, "second", lock_launch=True) as second, pytest.raises(SgxError, match=BAD_TOKEN):
        starts(second, sample, token)
    locked.chip.set_ownerepoch(b"\1" * 16)
    with pytest.raises(SgxError, match=BAD_TOKEN):
        starts(locked, sample, token)
    assert starts(locked, sample, locked.launch_token(sample)) == mrenclave(sample)
    locked.chip.reset()  # OWNEREPOCH is 0 again, and nothing else of the boot is in the key
    assert starts(locked, sample, token) == mrenclave(sample)


def test_tokens_and_tcb_recovery(home):
    """A later CPUSVN takes the tokens of earlier ones, as the manual has it, and never the other way round."""
    sample = signed_sample(Signers(home))
    with powered(home, lock_launch=True) as platform:
        book, before = RecordBook(home), platform.launch_token(sample)
        shutil.copy(home.chips / "default.fuses", home.chips / "old.fuses")
        authorise.raise_svn(platform.chip, book, b"\2" * 16)
        platform.chip.reset()
        after = platform.launch_token(sample)
        assert (before.cpusvnle, after.cpusvnle) == (b"\1" * 16, b"\2" * 16)
        assert starts(platform, sample, before) == starts(platform, sample, after) == mrenclave(sample)
        with pytest.raises(SgxError, match=BAD_TOKEN):
            starts(platform, sample, after.replace(cpusvnle=b"\1" * 16))
    with Platform(chip_url(home, "old"), home=home) as unrecovered:
        with pytest.raises(SgxError, match=BAD_CPUSVN):
            starts(unrecovered, sample, after)
        assert starts(unrecovered, sample, before) == mrenclave(sample)


def test_a_launch_enclave_with_debug_vouches_for_debug_only(locked, home):
    policy, signers = LaunchList(home).policy, Signers(home)
    image = launch_image(policy, signers, allow_debug=True)
    keyed = KeyedImage(image.name, with_debug(image).secs, list(image.operations()), image.sigstruct)
    keyed.entry_key = image.entry_key
    with pytest.raises(SgxError, match=BAD_ATTRIBUTE):  # the one that is used has DEBUG under its mask
        starts(locked, with_debug(launch_image(policy, signers)), None)
    sample = signed_sample(signers)
    with locked._for_a_while(keyed) as enclave:
        program = LaunchEnclave(enclave, policy)
        signed = sample.sigstruct
        tokens = [program.token(signed.enclavehash, signed.mrsigner, of.secs.attributes)
                  for of in (sample, with_debug(sample))]
    assert all(token.maskedattributesle.debug for token in tokens)
    with pytest.raises(SgxError, match=BAD_TOKEN):
        starts(locked, sample, tokens[0])
    hidden = tokens[0].maskedattributesle.replace(flags=int(tokens[0].maskedattributesle.flags) & ~2)
    with pytest.raises(SgxError, match=BAD_TOKEN):
        starts(locked, sample, tokens[0].replace(maskedattributesle=hidden))
    assert starts(locked, with_debug(sample), tokens[1]) == mrenclave(sample)


def test_somebody_else_s_launch_enclave(locked, home, stranger):
    """EINITTOKEN_KEY is LEPUBKEYHASH's signer's alone, and a chip that is locked to another one says so."""
    image = launch_image(LaunchList(home).policy, Signers(home))
    foreign = image.signed(sign_image(image, stranger))
    with pytest.raises(SgxError, match=BAD_ATTRIBUTE):
        starts(locked, foreign, None)
    shutil.copy(home.keys / "enclave-application.pem", home.keys / "enclave-launch.pem")
    with refused(Reason.EINITTOKEN):
        locked.launch()


def test_the_policy():
    own, provisioning = b"\1" * 32, (b"\2" * 32, b"\3" * 32)
    policy = LaunchPolicy(frozenset({own, provisioning[0]}), provisioning)
    flags = AttributeFlags

    def check(signer, *more):
        policy.check(signer, NORMAL.replace(flags=sum(int(flag) for flag in (flags.MODE64BIT, *more))))

    check(own)
    check(b"\4" * 32, flags.DEBUG)
    check(provisioning[0], flags.PROVISIONKEY)
    check(provisioning[1], flags.PROVISIONKEY, flags.DEBUG)
    for signer, *more in (
        (b"\4" * 32,),
        (b"\4" * 32, flags.PROVISIONKEY, flags.DEBUG),
        (own, flags.PROVISIONKEY),
        (own, flags.EINITTOKEN_KEY),
        (own, flags.EINITTOKEN_KEY, flags.DEBUG),
        (own, flags.INIT),
        (provisioning[1],),
    ):
        with refused(Reason.LAUNCH_POLICY):
            check(signer, *more)
    with pytest.raises(UsageError, match="32 bytes, not 31"):
        LaunchPolicy(frozenset({bytes(31)}), provisioning)


def test_the_list_is_measured(home):
    signers, listed = Signers(home), LaunchList(home)
    before = launch_image(listed.policy, signers)
    assert listed.others == ()
    listed.allow(b"\7" * 32)
    after = launch_image(listed.policy, signers)
    assert mrenclave(before) != mrenclave(after) and before.sigstruct.mrsigner == after.sigstruct.mrsigner
    assert after.sigstruct.attributes.flags == AttributeFlags.MODE64BIT | AttributeFlags.EINITTOKEN_KEY
    with pytest.raises(UsageError, match="32 bytes, not 5"):
        listed.allow(bytes(5))
    for damaged in (b"00\n", b"zz" * 32, b"\xff"):
        listed.path.write_bytes(damaged)
        with pytest.raises(CorruptFile, match="launch-allowed"):
            _ = listed.policy


def test_what_a_program_without_the_attribute_gets(home):
    with powered(home) as platform, platform._for_a_while(pce_image(Signers(home))) as enclave:
        program = LaunchEnclave(enclave, LaunchPolicy(frozenset({bytes(32)}), (bytes(32), bytes(32))))
        with refused(Reason.KEY_ATTRIBUTE):
            program.token(bytes(32), bytes(32), NORMAL)
        with pytest.raises(UsageError, match="32 bytes each"):
            program.token(bytes(31), bytes(32), NORMAL)
