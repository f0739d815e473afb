"""Keys and reports on the reference model against a second derivation, and cell by cell (instruction notes 4 and 5)."""

import commands_shadow as ops
import pytest
from commands_make import (
    AEXNOTIFY,
    CET,
    DEBUG,
    KSS,
    MODE64,
    MRSIGNERS,
    PROVISIONKEY,
    TOKENKEY,
    cmac,
    keyrequest,
    le,
    manufacture,
    patched,
    record,
    targetinfo,
)  # fmt: skip
from model_driver import blank, enter, launch, locked

CPUSVN = bytes([255, 254, 253, 252, 251, 250, 249, 248] * 2)
RPK = bytes(range(1, 17))
PADDING = b"\x00\x01" + b"\xff" * 330 + b"\x00" + bytes.fromhex("3031300d060960864801650304020105000420")
EINITTOKEN, PROVISION, PROVISION_SEAL, REPORT, SEAL = range(5)
NAMES = dict(enumerate(("EINITTOKEN", "PROVISION", "PROVISION_SEAL", "REPORT", "SEAL")))
EPOCH = b"the owner's epoc"
FLAGS = MODE64 | PROVISIONKEY | TOKENKEY | CET | KSS


def root_key(rpk, svn):
    """K(CPUSVN) of docs/chip.md section 2, in the shortest way, the slowest, and from the RPK every time."""
    chains = []
    for i in range(16):
        key = cmac(rpk, b"FQ-SVN" + bytes([i]))
        for _ in range(255 - svn[i]):
            key = cmac(key, b"FQ-STEP" + bytes([i]))
        chains.append(key)
    return cmac(chains[0], b"".join(chains[1:]))


def derived(svn, *fields, rpk=RPK):
    """A key from KD1 fields, (offset, bytes) pairs of instruction notes 5.2 (2)."""
    return cmac(root_key(rpk, svn), record(656, *fields))


class Scenario:
    """A chip, an enclave and a KEYREQUEST, each input of which can be changed on its own."""

    def __init__(self, **changes):
        def take(name, default):
            return changes.pop(name, default)

        self.driver = blank(take("rsk", "seed"))
        self.driver.do(ops.FUSE_MANUFACTURE, manufacture(rpk=take("rpk", RPK), cpusvn=take("cr_cpusvn", CPUSVN)))
        self.driver.do(ops.FUSE_LOCK)
        self.driver.do(ops.RESET)
        self.driver.do(ops.SET_OWNEREPOCH, take("owner_epoch", EPOCH))
        self.enclave = launch(
            self.driver,
            take("mrsigner", 0),
            {
                "isvprodid": take("isvprodid", 0x1111),
                "isvsvn": take("secs_isvsvn", 9),
                "isvfamilyid": take("isvfamilyid", b"f" * 16),
                "isvextprodid": take("isvextprodid", b"x" * 16),
            },
            flags=take("flags", FLAGS),
            xfrm=take("xfrm", 3),
            cet=take("cet", 0x03),
            configid=take("configid", b"c" * 64),
            configsvn=take("secs_configsvn", 0x2222),
            content=take("mrenclave", b"content"),
        )
        self.ticket = enter(self.driver, self.enclave)
        self.request = {
            "policy": take("policy", 0x3B),
            "isvsvn": take("isvsvn", 7),
            "cetmask": take("cetmask", 0x0F),
            "cpusvn": take("cpusvn", bytes([*CPUSVN[:15], 240])),
            "attributemask": take("attributemask", b"\xff" * 15 + b"\x7f"),
            "keyid": take("keyid", b"k" * 32),
            "miscmask": take("miscmask", 0xFFFFFFFF),
            "configsvn": take("configsvn", 0x2000),
        }
        assert not changes

    def key(self, name):
        return self.driver.do(ops.EGETKEY, self.ticket + keyrequest(name, **self.request))

    def seal_fuses(self):
        return self.driver.chip._machine.fuses.read(0x110, 16)


@pytest.fixture(scope="module")
def base():
    scenario = Scenario()
    return {name: scenario.key(name) for name in NAMES}, scenario


def test_known_answers_recomputed(base):
    keys, scenario = base
    cpusvn, rsk = scenario.request["cpusvn"], scenario.seal_fuses()
    attributes, mask = scenario.enclave.attributes, scenario.request["attributemask"]
    common = (12, le(0, 4)), (32, attributes), (80, cpusvn), (128, MRSIGNERS[0]), (304, PADDING)
    prodid, isvsvn = (4, le(0x1111, 2)), (6, le(7, 2))
    assert keys[EINITTOKEN] == derived(
        cpusvn, *common, prodid, isvsvn, (10, b"\x03"), (64, EPOCH), (160, b"k" * 32), (288, rsk)
    )
    assert keys[PROVISION] == derived(cpusvn, (0, b"\1"), *common, prodid, isvsvn, (10, b"\x03"), (48, mask))
    config = (8, le(0x2000, 2)), (192, b"c" * 64), (256, b"f" * 16), (272, b"x" * 16)
    assert keys[PROVISION_SEAL] == derived(
        cpusvn, (0, b"\2"), (2, b"\x3b"), *common, prodid, isvsvn, (10, b"\x03"), (48, mask), *config, (288, rsk)
    )
    mrenclave = scenario.enclave.mrenclave
    assert keys[REPORT] == derived(
        CPUSVN, (0, b"\3"), (8, le(0x2222, 2)), (10, b"\x03"), (32, attributes), (64, EPOCH), (80, CPUSVN),
        (96, mrenclave), (160, b"k" * 32), (192, b"c" * 64), (288, rsk), (304, PADDING),
    )  # fmt: skip
    assert keys[SEAL] == derived(
        cpusvn, (0, b"\4"), (2, b"\x3b"), *common, prodid, isvsvn, (10, b"\x03\x0f"), (48, mask), (64, EPOCH),
        (96, mrenclave), (160, b"k" * 32), *config, (288, rsk),
    )  # fmt: skip


def test_miscmask_enters_inverted():
    scenario = Scenario(miscmask=0x11111111)
    masked = (32, scenario.enclave.attributes), (48, scenario.request["attributemask"])
    fields = *masked, (4, le(0x1111, 2)), (6, le(7, 2))
    assert scenario.key(PROVISION) == derived(
        scenario.request["cpusvn"], (0, b"\1"), *fields, (10, b"\x03"), (16, le(0xEEEEEEEE, 4)),
        (80, scenario.request["cpusvn"]), (128, MRSIGNERS[0]), (304, PADDING),
    )  # fmt: skip


#: One input changed at a time, and the keys that it must change: instruction notes 5, row by row. Those that are not
#: named must stay.
CELLS = [
    ({"rpk": b"R" * 16}, "EINITTOKEN PROVISION PROVISION_SEAL REPORT SEAL"),
    ({"rsk": "another seed, another RSK"}, "EINITTOKEN PROVISION_SEAL REPORT SEAL"),
    ({"owner_epoch": bytes(16)}, "EINITTOKEN REPORT SEAL"),
    ({"cr_cpusvn": b"\xff" * 16}, "REPORT"),
    ({"cpusvn": CPUSVN}, "EINITTOKEN PROVISION PROVISION_SEAL SEAL"),
    ({"cpusvn": bytes([254, *CPUSVN[1:15], 240])}, "EINITTOKEN PROVISION PROVISION_SEAL SEAL"),
    ({"isvsvn": 8}, "EINITTOKEN PROVISION PROVISION_SEAL SEAL"),
    ({"secs_isvsvn": 8}, ""),
    ({"isvprodid": 0x1112}, "EINITTOKEN PROVISION PROVISION_SEAL SEAL"),
    ({"flags": FLAGS | DEBUG}, "EINITTOKEN PROVISION PROVISION_SEAL REPORT SEAL"),
    ({"flags": FLAGS | AEXNOTIFY}, "EINITTOKEN PROVISION PROVISION_SEAL REPORT SEAL"),
    ({"xfrm": 7}, "EINITTOKEN PROVISION PROVISION_SEAL REPORT SEAL"),
    ({"attributemask": b"\xff" * 16}, "PROVISION PROVISION_SEAL SEAL"),
    ({"attributemask": b"\xfc" + b"\xff" * 14 + b"\x7f"}, "PROVISION PROVISION_SEAL SEAL"),
    ({"miscmask": 0xFFFFFFFE}, "PROVISION PROVISION_SEAL SEAL"),
    ({"miscmask": 0x7FFFFFFF}, "PROVISION PROVISION_SEAL SEAL"),
    ({"cet": 0x02}, "EINITTOKEN PROVISION PROVISION_SEAL REPORT SEAL"),
    ({"cet": 0x13}, "REPORT"),
    ({"cetmask": 0x8F}, "SEAL"),
    ({"cetmask": 0x0E}, "EINITTOKEN PROVISION PROVISION_SEAL SEAL"),
    ({"mrenclave": b"other content"}, "REPORT SEAL"),
    ({"mrsigner": 1}, "EINITTOKEN PROVISION PROVISION_SEAL SEAL"),
    ({"keyid": b"K" * 32}, "EINITTOKEN REPORT SEAL"),
    ({"keyid": b"k" * 31 + b"l"}, "EINITTOKEN REPORT SEAL"),
    ({"policy": 0x3A}, "PROVISION_SEAL SEAL"),
    ({"configid": b"c" * 63 + b"d"}, "PROVISION_SEAL REPORT SEAL"),
    ({"secs_configsvn": 0x2223}, "REPORT"),
    ({"configsvn": 0x2001}, "PROVISION_SEAL SEAL"),
    ({"isvfamilyid": b"f" * 15 + b"g"}, "PROVISION_SEAL SEAL"),
    ({"isvextprodid": b"x" * 15 + b"y"}, "PROVISION_SEAL SEAL"),
]


@pytest.mark.parametrize(("change", "changes"), CELLS, ids=[f"{next(iter(c))}-{i}" for i, (c, _) in enumerate(CELLS)])
def test_each_cell_of_the_table(base, change, changes):
    before, _ = base
    after = Scenario(**change)
    assert {NAMES[name] for name in NAMES if after.key(name) != before[name]} == set(changes.split())


#: With this policy, changing this input leaves the key as it is.
POLICIES = [
    (SEAL, 0x3A, "mrenclave", b"other"), (SEAL, 0x39, "mrsigner", 1), (SEAL, 0x3F, "isvprodid", 5),
    (SEAL, 0x33, "configid", b"d" * 64), (SEAL, 0x33, "configsvn", 0), (SEAL, 0x2B, "isvfamilyid", b"g" * 16),
    (SEAL, 0x1B, "isvextprodid", b"y" * 16), (SEAL, 0x00, "mrenclave", b"other"), (SEAL, 0x00, "mrsigner", 1),
    (PROVISION_SEAL, 0x3F, "isvprodid", 5), (PROVISION_SEAL, 0x33, "configid", b"d" * 64),
    (PROVISION_SEAL, 0x33, "configsvn", 0), (PROVISION_SEAL, 0x2B, "isvfamilyid", b"g" * 16),
    (PROVISION_SEAL, 0x1B, "isvextprodid", b"y" * 16),
]  # fmt: skip


@pytest.mark.parametrize(("name", "policy", "field", "value"), POLICIES)
def test_policies_leave_out(name, policy, field, value):
    assert Scenario(policy=policy).key(name) == Scenario(policy=policy, **{field: value}).key(name)


def test_provision_seal_is_always_the_signers():
    assert Scenario(policy=0).key(PROVISION_SEAL) != Scenario(policy=0, mrsigner=1).key(PROVISION_SEAL)


def test_init_and_debug_cannot_be_masked_away():
    clear = bytes(16)
    production, debug = Scenario(attributemask=clear), Scenario(attributemask=clear, flags=FLAGS | DEBUG)
    other = Scenario(attributemask=clear, flags=FLAGS | AEXNOTIFY, xfrm=7)
    for name in (EINITTOKEN, PROVISION, PROVISION_SEAL, SEAL):
        assert production.key(name) != debug.key(name)
        assert production.key(name) == other.key(name)
    cpusvn, rsk = production.request["cpusvn"], production.seal_fuses()
    assert production.key(EINITTOKEN) == derived(
        cpusvn, (4, le(0x1111, 2)), (6, le(7, 2)), (10, b"\x03"), (32, b"\x01"), (64, EPOCH), (80, cpusvn),
        (128, MRSIGNERS[0]), (160, b"k" * 32), (288, rsk), (304, PADDING),
    )  # fmt: skip


def test_cpusvn_zero_is_allowed():
    """The PPID is made with it; the walk is as long as it gets."""
    scenario = Scenario(cpusvn=bytes(16), isvsvn=0)
    attributes, mask = scenario.enclave.attributes, scenario.request["attributemask"]
    assert scenario.key(PROVISION) == derived(
        bytes(16), (0, b"\1"), (4, le(0x1111, 2)), (10, b"\x03"), (32, attributes), (48, mask), (128, MRSIGNERS[0]),
        (304, PADDING),
    )  # fmt: skip


# -- what EGETKEY refuses -------------------------------------------------------------------------------------------


@pytest.fixture
def plain():
    """An enclave without KSS and without any key attribute, ISVSVN 3."""
    driver = locked()
    ticket = enter(driver, launch(driver, sig={"isvsvn": 3}))
    return lambda request: driver.status(ops.EGETKEY, ticket + request)


@pytest.mark.parametrize("name", [EINITTOKEN, PROVISION, PROVISION_SEAL])
def test_keys_that_need_an_attribute(plain, name):
    assert plain(keyrequest(name)) == "SGX_INVALID_ATTRIBUTE"
    assert plain(keyrequest(name, cpusvn=b"\xff" * 16, isvsvn=9)) == "SGX_INVALID_ATTRIBUTE"


@pytest.mark.parametrize("name", [EINITTOKEN, PROVISION, PROVISION_SEAL, SEAL])
def test_svns(name):
    driver = locked()
    flags = MODE64 | PROVISIONKEY | TOKENKEY | KSS
    ticket = enter(driver, launch(driver, 0, {"isvsvn": 3}, flags=flags, configsvn=5))

    def ask(**fields):
        return driver.status(ops.EGETKEY, ticket + keyrequest(name, **fields))

    for i in range(16):
        if CPUSVN[i] != 255:
            assert ask(cpusvn=patched(bytes(16), i, bytes([CPUSVN[i] + 1]))) == "SGX_INVALID_CPUSVN"
    assert ask(cpusvn=b"\xff" * 16, isvsvn=4) == "SGX_INVALID_CPUSVN"
    assert ask(isvsvn=4) == "SGX_INVALID_ISVSVN"
    assert ask(isvsvn=0x0100) == "SGX_INVALID_ISVSVN"
    assert ask(isvsvn=3, cpusvn=CPUSVN, configsvn=5) == "SUCCESS"
    above = "SGX_INVALID_ISVSVN" if name in (PROVISION_SEAL, SEAL) else "SUCCESS"
    assert ask(configsvn=6) == above
    assert ask(configsvn=0x0100, policy=8) == above


def test_a_report_key_ignores_svns(plain):
    assert plain(keyrequest(REPORT, cpusvn=b"\xff" * 16, isvsvn=0xFFFF)) == "SUCCESS"


@pytest.mark.parametrize("name", [5, 6, 0xFF, 0x100, 0x104, 0x8003, 0xFFFF])
def test_key_names(plain, name):
    assert plain(keyrequest(name)) == "SGX_INVALID_KEYNAME"


@pytest.mark.parametrize("name", [0, 1, 2, 3, 4, 5])
def test_policies_and_reserved_bytes(plain, name):
    for bit in range(2, 16):
        assert plain(keyrequest(name, policy=1 << bit)) == "FAULT_GP"
    for at in (7, 78, 200, 511):
        assert plain(patched(keyrequest(name), at, b"\x80")) == "FAULT_GP"
    assert plain(keyrequest(name, configsvn=1)) == "FAULT_GP"
    assert plain(keyrequest(name, configsvn=0x8000)) == "FAULT_GP"


def test_policies_with_kss():
    driver = locked()
    ticket = enter(driver, launch(driver, flags=MODE64 | KSS))
    keys = set()
    for policy in range(64):
        keys.add(driver.do(ops.EGETKEY, ticket + keyrequest(SEAL, policy=policy, cpusvn=CPUSVN)))
    assert len(keys) == 64  # KEYPOLICY itself is in the key
    for bit in range(6, 16):
        assert driver.status(ops.EGETKEY, ticket + keyrequest(SEAL, policy=1 << bit)) == "FAULT_GP"


# -- reports --------------------------------------------------------------------------------------------------------


def test_a_report_byte_for_byte():
    scenario = Scenario()
    driver, enclave = scenario.driver, scenario.enclave
    target = record(
        512, (0, b"M" * 32 + b"A" * 16 + b"C"), (50, b"SV" + b"MISC"), (64, b"I" * 64)
    )
    report = driver.do(ops.EREPORT, scenario.ticket + target + b"D" * 64)
    body = record(
        384, (0, CPUSVN), (20, b"\x03"), (32, b"x" * 16 + enclave.attributes + enclave.mrenclave), (128, MRSIGNERS[0]),
        (192, b"c" * 64), (256, le(0x1111, 2) + le(9, 2) + le(0x2222, 2)), (304, b"f" * 16 + b"D" * 64),
    )  # fmt: skip
    assert report[:384] == body
    assert driver.do(ops.SLOT_INFO, enclave.handle) == body[:320]
    keyid = report[384:416]
    assert any(keyid[:16]) and keyid[16:] == bytes(16)
    key = derived(
        CPUSVN, (0, b"\3"), (8, b"SV"), (10, b"C"), (12, b"MISC"), (32, b"A" * 16), (64, EPOCH), (80, CPUSVN),
        (96, b"M" * 32), (160, keyid), (192, b"I" * 64), (288, scenario.seal_fuses()), (304, PADDING),
    )  # fmt: skip
    assert report[416:] == cmac(key, body)


class Pair:
    """A reporter A and its target T, both entered."""

    def __init__(self, **target):
        self.driver = driver = locked()
        self.a = launch(driver, content=b"A")
        self.t = launch(driver, 4, target.pop("sig", None), content=b"T", **target)
        self.in_a, self.in_t = enter(driver, self.a), enter(driver, self.t)
        self.target = targetinfo(driver.do(ops.SLOT_INFO, self.t.handle))

    def report(self, target=None):
        return self.driver.do(ops.EREPORT, self.in_a + (target or self.target) + b"d" * 64)

    def verify(self, report, ticket=None):
        return self.driver.do(ops.VERIFYREPORT, (ticket or self.in_t) + report) == b"\1"


def test_local_attestation():
    pair = Pair(flags=MODE64 | CET | KSS, cet=5, configid=b"c" * 64, configsvn=7)
    report = pair.report()
    assert pair.verify(report)
    assert not pair.verify(report, pair.in_a)
    key = pair.driver.do(ops.EGETKEY, pair.in_t + keyrequest(REPORT, keyid=report[384:416]))
    assert cmac(key, report[:384]) == report[416:]
    own = pair.driver.do(ops.EGETKEY, pair.in_a + keyrequest(REPORT, keyid=report[384:416]))
    assert own != key and cmac(own, report[:384]) != report[416:]


def test_every_byte_of_a_report_counts():
    pair = Pair()
    report = pair.report()
    for at in range(432):
        assert not pair.verify(patched(report, at, bytes([report[at] ^ 0x10])))


def test_every_field_of_targetinfo_counts():
    pair = Pair(flags=MODE64 | KSS | CET)
    mac = pair.report()[416:]
    for at in [*range(49), *range(50, 56), *range(64, 128)]:
        report = pair.report(patched(pair.target, at, bytes([pair.target[at] ^ 1])))
        assert report[416:] != mac and not pair.verify(report)


def test_signer_and_svn_of_the_target_do_not_count():
    pair = Pair(sig={"isvsvn": 1, "isvprodid": 1})
    report = pair.report()
    driver = pair.driver
    other = launch(driver, 3, {"isvsvn": 2, "isvprodid": 5, "isvextprodid": b"z" * 16}, content=b"T")
    assert other.mrenclave == pair.t.mrenclave
    assert driver.do(ops.VERIFYREPORT, enter(driver, other) + report) == b"\1"


def test_a_report_of_another_chip():
    one, other = Pair(), Pair()
    assert one.verify(other.report())  # same seed, same fuses: the same chip, twice
    foreign = locked(rpk=b"another root key")
    ticket = enter(foreign, launch(foreign, content=b"A"))
    report = foreign.do(ops.EREPORT, ticket + one.target + b"d" * 64)
    assert report[:384] == one.report()[:384] and not one.verify(report)


def test_no_key_is_a_root_key_and_keys_of_two_identities_differ():
    pair = Pair()
    keys = [
        pair.driver.do(ops.EGETKEY, ticket + keyrequest(name, policy=policy))
        for ticket in (pair.in_a, pair.in_t)
        for name, policy in ((REPORT, 0), (SEAL, 1), (SEAL, 2), (SEAL, 3))
    ]
    assert len(set(keys)) == len(keys)
    machine = pair.driver.chip._machine
    assert not {RPK, machine.fuses.read(0x110, 16)} & set(keys)
