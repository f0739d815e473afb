"""fusequote maker: TCB recovery and the end of a chip, from the command line."""

MODEL = ("--chip-scheme", "model")


def facts(ran):
    assert ran.code == 0, ran.err
    return ran.document["facts"]


def test_a_chip_is_raised_and_scrapped(run, tmp_path):
    url = ("--chip", f"model://?fuses={tmp_path}/new.fuses", "--json")
    made = facts(run("manufacture", *url))
    assert facts(run("maker", "fuses", *url))["recorded"] is True
    higher = "02" + made["cpusvn"][2:]
    for _ in range(2):  # the second time it is there already
        raised = facts(run("maker", "raise-svn", higher, *url))
        assert (raised["cpusvn"], raised["cpusvn_generations"]) == (higher, 2)
    run("maker", "raise-svn", made["cpusvn"], *url[:2]).complains(4, "SGX_INVALID_CPUSVN", "no component may go down")
    run("maker", "raise-svn", "02", *url[:2]).complains(2, "16 bytes")
    run("maker", "scrap", "00" * 16, *url[:2]).complains(2, made["device_id"])
    ended = facts(run("maker", "scrap", made["device_id"], *url))
    assert ended["life_cycle"] == "scrapped"
    run("maker", "raise-svn", "03" * 16, *url[:2]).complains(10, "has not booted as locked")
    fuses = (tmp_path / "new.fuses").read_bytes()[32:]
    assert fuses[0x100:] == b"\xff" * 128


def test_seven_times(run, tmp_path):
    url = ("--chip", f"model://?fuses={tmp_path}/new.fuses", "--json")
    run("manufacture", *url)
    for i in range(2, 9):
        facts(run("maker", "raise-svn", f"{i:02x}" * 16, *url))
    run("maker", "raise-svn", "ff" * 16, *url[:2]).complains(4, "BLOCK_NO_GENERATION", "seven times")


def test_not_the_maker(run, tmp_path):
    """A chip without a record in this home folder."""
    import shutil

    url = ("--chip", f"model://?fuses={tmp_path}/new.fuses", "--json")
    made = facts(run("manufacture", *url))
    other = tmp_path / "other.fuses"
    shutil.copy(tmp_path / "new.fuses", other)
    raw = bytearray(other.read_bytes())
    raw[32 + 0x10] |= 0xFF
    other.write_bytes(raw)
    run("maker", "raise-svn", "02" * 16, "--chip", f"model://?fuses={other}").complains(2, "no record of device")
    assert facts(run("maker", "fuses", "--chip", f"model://?fuses={other}", "--json"))["recorded"] is False
    assert made["device_id"]
