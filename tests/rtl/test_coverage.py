"""What directed scenes and random streams run of the generated Verilog, of the program, and of the state machines.

Short chips, two at a time: each scene checks what it is there for by its answers, and all count together.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import commands_shadow as ops
import pytest
from commands import CommandSource
from commands_entry import NUMBERED
from commands_make import (
    KSS,
    MODE64,
    MRSIGNERS,
    PROVISIONKEY,
    PT_SECS,
    keyrequest,
    le,
    maced,
    manufacture,
    patched,
    secinfo,
    secs,
)  # fmt: skip
from commands_rsa import ENTRY_KEYS, entry_chunk
from conftest import CACHE, MAX_CONTENTS, ROOT
from fusequote.chip import framing
from fusequote.chip.fusefile import FuseFile
from fusequote_sim import coverage
from fusequote_sim.build import build
from fusequote_sim.process import SimulatedChip
from model_driver import Driver, einit_body, enter, launch
from model_driver import build as build_enclave
from test_model_einit import CPUSVN, Launcher

sys.path.append(str(ROOT / "tests" / "hdl"))

pytestmark = [pytest.mark.rtl, pytest.mark.slow, pytest.mark.timeout(3600)]
EXCLUSIONS = ROOT / "tests" / "rtl" / "coverage_exclusions.toml"
#: Random chips that live long, and commands for each; chips that are scrapped after so many commands.
LONG, COMMANDS = 2, 500
BRIEF, LIFE = 2, 300
#: States of each state machine in the block.
STATES = {"sequencer": 13, "framer": 3}
#: In the answer to IDENTIFY: life cycle, whether enclaves can be made, cause of the last boot.
LIFE_CYCLE, READY, CAUSE = 22, 56, 57
WATCHDOG = 2
#: KEYNAME
SEAL = 4
NAK_BAD_FRAME, NAK_TOO_LONG = bytes.fromhex("80000340"), bytes.fromhex("80000440")


class Counting:
    """A chip that counts, at the level of frame contents. ``noise``: what is wrong with its noise source."""

    def __init__(self, program, *, noise="", **options):
        os.environ["FUSEQUOTE_NOISE"] = noise
        try:
            self.chip = SimulatedChip(program, **options)
        finally:
            del os.environ["FUSEQUOTE_NOISE"]
        self._decoder, self._frames = framing.Decoder(MAX_CONTENTS), []

    def execute(self, contents):
        self.chip.port.sendall(framing.encode(contents))
        return self.receive()

    def execute_both(self, contents, behind):
        self.chip.port.sendall(framing.encode(contents) + framing.encode(behind))
        return self.receive(), self.receive()

    def raw(self, data):
        """Bytes that need not be a frame."""
        self.chip.port.sendall(data)

    def receive(self):
        while not self._frames:
            data = self.chip.port.recv(4096)
            assert data, "the chip does not answer"
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)


def identity(chip, seq=7):
    answer = chip.execute(bytes([ops.IDENTIFY, seq]))
    assert answer[:4] == bytes([0x80 | ops.IDENTIFY, seq, 0, 0])
    return answer[4:]


def random_stream(chip, seed, commands, **options):
    """A chip's life from blank on, at random."""
    source = CommandSource(seed, **options)
    for _ in range(commands):
        request = source.next()
        answer = chip.execute_both(request, source.behind)[0] if source.behind else chip.execute(request)
        source.observe(answer)


def locked(chip, **options):
    """A driver of a chip that is blank now, and then locked."""
    driver = Driver(chip)
    driver.do(ops.FUSE_MANUFACTURE, manufacture(**options))
    driver.do(ops.FUSE_LOCK)
    driver.do(ops.RESET)
    return driver


def every_life_cycle(chip):
    """From blank to locked, LEPUBKEYHASH locked as well; who it says it is at each step."""
    driver = Driver(chip)
    assert identity(chip)[LIFE_CYCLE] == 0
    driver.do(ops.FUSE_MANUFACTURE, manufacture(options=1))
    assert identity(chip)[LIFE_CYCLE] == 1
    driver.do(ops.FUSE_LOCK)
    assert identity(chip)[LIFE_CYCLE] == 2
    driver.do(ops.RESET)
    assert identity(chip)[READY] == 1


def refused_enclaves(chip):
    """AVX-512 without AVX, CET fields without CET, somebody else's PROVISIONKEY, and a second page that names an entry
    key."""
    driver = locked(chip)
    for source, status in (({"xfrm": 0xE3}, "FAULT_GP"), ({"xfrm": 0xE7}, "SUCCESS"), ({"cet": 1}, "FAULT_GP")):
        assert driver.status(ops.ECREATE, secinfo(PT_SECS) + secs(**source)) == status
    enclave = build_enclave(driver, flags=MODE64 | PROVISIONKEY)
    driver.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[1])
    assert driver.status(ops.EINIT, einit_body(enclave, 3)) == "SGX_INVALID_ATTRIBUTE"
    assert driver.status(ops.EINIT, einit_body(enclave, 1)) == "SUCCESS"
    enclave = build_enclave(driver, entry_key=ENTRY_KEYS[0])
    driver.do(ops.EEXTEND, enclave.handle + le(enclave.tcs + 0x1000, 8) + b"\1" + entry_chunk(ENTRY_KEYS[1]))
    assert driver.status(ops.EINIT, einit_body(enclave)) == "SGX_INVALID_MEASUREMENT"


def launch_tokens_and_key_policies(chip):
    """A launch enclave's token, good and bad; sealing keys under policies."""
    driver = locked(chip)
    launcher = Launcher(driver)
    token = launcher.token()
    good = maced(token, launcher.key)
    for made, status in (
        (patched(good, 288, bytes([good[288] ^ 1])), "SGX_INVALID_EINITTOKEN"),
        (patched(good, 192, b"\xff" * 16), "SGX_INVALID_CPUSVN"),
        (maced(patched(token, 64, bytes(32)), launcher.key), "SGX_INVALID_MEASUREMENT"),
        (good, "SUCCESS"),
    ):
        assert launcher.einit(made) == status
    enclave = launch(driver, flags=MODE64 | KSS, configid=b"c" * 64, configsvn=9)
    ticket = enter(driver, enclave)
    keys = {driver.do(ops.EGETKEY, ticket + keyrequest(SEAL, policy=policy, cpusvn=CPUSVN)) for policy in (2, 0x3F)}
    assert len(keys) == 2
    for keyname, status in ((0, "SGX_INVALID_ATTRIBUTE"), (9, "SGX_INVALID_KEYNAME")):
        assert driver.status(ops.EGETKEY, ticket + keyrequest(keyname)) == status


def nothing_runs(chip):
    """A chip that could not boot: of all that is numbered, nothing runs."""
    source = CommandSource("boot failed", unreadable=True)
    assert identity(chip)[READY] == 0
    for _ in range(3 * len(NUMBERED)):
        source.observe(chip.execute(source.next()))


def damaged_frames(chip):
    """Bytes that are no frames, frames that are too long, noise between frames; and the reset line."""
    for bad, answer in (
        (b"\x7e\x01\x02\x03\x7e", NAK_BAD_FRAME),
        (b"\x7e\x01\x07\x7d\x7e", NAK_BAD_FRAME),
        (b"\x7e" + bytes(5000) + b"\x7e", NAK_TOO_LONG),
        (framing.encode(bytes(MAX_CONTENTS + 1)), NAK_TOO_LONG),
        (b"\x7e\x7e\x7e", None),
    ):
        chip.raw(bad)
        if answer:
            assert chip.receive() == answer
        identity(chip)
    chip.chip.reset()
    identity(chip, 8)


def the_watchdog(chip):
    """Noise that does not come, until the watchdog starts the chip anew."""
    assert identity(chip)[CAUSE] == WATCHDOG


def unreadable_fuses(path):
    """A fuse file with a life cycle that there is none of."""
    FuseFile.create(path)
    with FuseFile.power_on(path) as file:
        file.bank.burn(0, b"\x07\0\0\1")
    return path


def scenes(program, folder):
    """(chip, what is done with it) pairs, the long ones first; a chip is powered on when it is asked for."""
    for i in range(LONG):
        yield Counting(program, seed=f"coverage {i}"), lambda chip, i=i: random_stream(
            chip, f"coverage {i}", COMMANDS, launch_locked=i % 2 == 1)
    for i in range(BRIEF):
        yield Counting(program, seed=f"brief {i}"), lambda chip, i=i: random_stream(
            chip, f"brief {i}", LIFE, life=LIFE)
    yield Counting(program, noise="stalls"), the_watchdog
    yield Counting(program, noise="fails"), nothing_runs
    yield Counting(program, fuses=unreadable_fuses(folder / "unreadable.fuses")), nothing_runs
    for scene in (every_life_cycle, refused_enclaves, launch_tokens_and_key_policies, damaged_frames):
        yield Counting(program, seed=scene.__name__), scene


def play(chip, scene):
    with chip.chip:
        scene(chip)


def test_lines_branches_toggles_and_the_program(tmp_path, monkeypatch, capfd):
    from test_microcode import PROGRAM, instructions

    program = build(cache=CACHE, recipe=coverage.COUNTING)
    folder = tmp_path / "counts"
    folder.mkdir()
    monkeypatch.setenv("FUSEQUOTE_COVERAGE", str(folder))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [pool.submit(play, *scene) for scene in scenes(program, tmp_path)]:
            done.result()

    counted = coverage.Coverage(folder, program.with_name("chip.v"))
    report, short = counted.judge(coverage.read_exclusions(EXCLUSIONS))
    starts = set(instructions())
    never = sorted(starts - counted.executed())
    names = sorted((address, name) for name, address in PROGRAM.labels.items())
    with capfd.disabled():
        print(f"\n{report}\nprogram {len(starts) - len(never)} of {len(starts)} instructions")
        for address in never:
            print("    never started:", address, max(entry for entry in names if entry[0] <= address)[1])
        for name, all_of_them in STATES.items():
            print(f"states of the {name}: {counted.states()[name]} of {all_of_them}")
    # An address that is no instruction would mean that DECODE is another state now.
    assert counted.executed() <= starts
    assert counted.states() == STATES
    assert not never
    assert not short
