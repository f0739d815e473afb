"""Post-route simulation: the bitstream, turned back into a netlist, at its pins.

The quick ones test the pieces. The small design (tests/boards/conftest.py) shows that every fuse byte that was written
into a finished bitstream is what comes out of the placed chip's pins. The block itself takes minutes: `make postroute`.
"""

import contextlib
import json
import re
import secrets
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from fusequote.arch.keys import KeyName, KeyPolicy
from fusequote.chip.client import Chip
from fusequote.chip.fusefile import FuseFile
from fusequote.chip.transport import open_port
from fusequote.errors import UsageError
from fusequote.maker.board import fuses_of, new_record
from fusequote.selftest import Outcome, material, run
from fusequote.selftest.bench import Bench
from fusequote_boards.board import board
from fusequote_boards.build import build, pack
from fusequote_boards.fusebits import FORMATS
from fusequote_boards.fusemacro import KEY_BYTES, KEYS
from fusequote_boards.personalize import device_fuses, write_fuses
from fusequote_boards.postroute.bitstream import TEXTS
from fusequote_boards.postroute.ice40 import Ice40
from fusequote_boards.postroute.model import prepare
from fusequote_boards.postroute.netlist import Unmodelled, load, rings
from fusequote_boards.postroute.process import PlacedChip
from fusequote_boards.postroute.verilog import Placed, logic, pin_port
from fusequote_boards.tools import Tools
from hypothesis import given
from hypothesis import strategies as st

BUILDS = Path(__file__).parents[2] / "build" / "test-cache" / "boards"
SMALL = [pytest.param(name, marks=[pytest.mark.pnr, pytest.mark.timeout(1800)]) for name in ("icebreaker", "ulx3s-12f")]
BOARDS = [pytest.param(name, marks=[pytest.mark.pnr, pytest.mark.slow, pytest.mark.timeout(7200)])
          for name in ("icebreaker", "ulx3s-25f")]


# Pieces


def value(expression, inputs):
    """An expression of Verilog's with one bit for each name."""
    tokens = re.findall(r"1'b[01]|[a-d]|[()!&|^?:]", expression)[::-1]

    def operand():
        token = tokens.pop()
        if token == "!":
            return 1 - operand()
        if token != "(":
            return inputs[token] if token in inputs else int(token[-1])
        left, operator, right = operand(), tokens.pop(), operand()
        if operator == "?":
            assert tokens.pop() == ":"
            right = (right, operand())[not left]
        assert tokens.pop() == ")"
        return {"&": left & right, "|": left | right, "^": left ^ right, "?": right}[operator]

    result = operand()
    assert not tokens, expression
    return result


@given(st.integers(0, 0xFFFF))
def test_the_expression_of_a_table_is_the_table(contents):
    expression = logic(contents, "abcd")
    for address in range(16):
        inputs = {name: address >> i & 1 for i, name in enumerate("abcd")}
        assert value(expression, inputs) == contents >> address & 1, expression


def routed(tmp_path, names):
    """A netlist of one loop through look-up tables of these names."""
    cells = {}
    for i, name in enumerate(names):
        cells[name] = {
            "type": "ICESTORM_LC", "parameters": {"LUT_INIT": "1010101010101010", "DFF_ENABLE": "0"},
            "attributes": {}, "port_directions": {"I0": "input", "O": "output"},
            "connections": {"I0": [i], "O": [(i + 1) % len(names)]}}
    path = tmp_path / "routed.json"
    path.write_text(json.dumps({"modules": {"top": {"attributes": {"top": "1"}, "ports": {}, "cells": cells,
                                                    "netnames": {}}}}))
    return load(path)


def test_a_ring_oscillator_is_cut_where_it_begins(tmp_path):
    netlist = routed(tmp_path, [f"chip.noise.rings.ring2_{i}_LC" for i in range(4)])
    assert rings(netlist, Ice40.combinational) == {("chip.noise.rings.ring2_0_LC", "I0"): 2}


@pytest.mark.parametrize("names", [
    ["chip.block.a", "chip.block.b"],
    ["chip.noise.rings.ring0_0_LC", "chip.block.b"],
    ["chip.noise.rings.ring0_0_LC", "chip.noise.rings.ring1_1_LC"],
    ["chip.noise.rings.ring0_0_LC", "chip.noise.rings.ring0_2_LC"],
])
def test_any_other_loop_is_refused(tmp_path, names):
    with pytest.raises(Unmodelled):
        rings(routed(tmp_path, names), Ice40.combinational)


def test_two_drivers_of_a_wire_are_refused(tmp_path):
    routed(tmp_path, ["a", "b"])
    path = tmp_path / "routed.json"
    design = json.loads(path.read_text())
    design["modules"]["top"]["cells"]["a"]["connections"]["O"] = [0]
    path.write_text(json.dumps(design))
    with pytest.raises(Unmodelled, match="connected to another output"):
        load(path)


def test_a_pin_has_a_port_that_cpp_can_name():
    assert pin_port("uart_0__rx__io") == "uart_0_rx_io"


def test_without_a_build_there_is_nothing_to_simulate(tmp_path):
    with pytest.raises(UsageError, match="no build of icebreaker") as refused:
        prepare(board("icebreaker"), tmp_path)
    assert "fusequote build icebreaker" in refused.value.hint


# The small design


@pytest.fixture(scope="module")
def small(request, small_builds, small_top, tmp_path_factory):
    """A bitstream of the small design with random fuses, and its simulation, at the eight cycles a bit that it has."""
    chosen = board(request.param)
    built = build(chosen.target(), small_builds, top=small_top)
    fuses = secrets.token_bytes(384)
    out = tmp_path_factory.mktemp("small") / built.bitstream.name
    write_fuses(built, fuses, out)
    return SimpleNamespace(board=chosen, builds=small_builds, built=built, fuses=fuses, file=out,
                           model=replace(prepare(chosen, small_builds, out), baud=chosen.core_hz // 8))


def ask(chip, addresses):
    """The fuses that the small design reads at these addresses (not 0x80 to 0xff)."""
    for address in addresses:
        chip.port.sendall(bytes([address & 0x7F | address >> 8 << 7]))
        yield chip.port.recv(1)[0]


ADDRESSES = [*range(0x80), *range(0x100, 0x180)]


@pytest.mark.parametrize("small", SMALL, indirect=True)
class TestSmall:
    def test_the_pins_tell_the_fuses_of_the_bitstream(self, small):
        with PlacedChip(small.model) as chip:
            chip.port.settimeout(60)
            assert list(ask(chip, ADDRESSES)) == [small.fuses[address] for address in ADDRESSES]
            # After seventeen passes over the provisioning key come zeros; the sealing key is there always.
            row = range(KEYS["rpk"], KEYS["rpk"] + KEY_BYTES)
            for _ in range(17):
                list(ask(chip, row))
            assert bytes(ask(chip, [*row, 0])) == bytes(KEY_BYTES) + small.fuses[:1]
            assert bytes(ask(chip, [KEYS["rsk"]])) == small.fuses[KEYS["rsk"]:][:1]
        with PlacedChip(small.model) as chip:  # power was off
            chip.port.settimeout(60)
            assert bytes(ask(chip, row)) == small.fuses[row.start : row.stop]

    def test_a_host_whose_clock_is_off_is_understood(self, small):
        for rate in (small.model.baud * 985 // 1000, small.model.baud * 1015 // 1000):
            with PlacedChip(small.model, baud=rate) as chip:
                chip.port.settimeout(60)
                assert bytes(ask(chip, range(64))) == small.fuses[:64]

    def test_a_break_is_a_separator(self, small):
        with PlacedChip(small.model) as chip:
            chip.port.settimeout(60)
            assert list(ask(chip, [5])) == [small.fuses[5]]
            chip.hold_break(True)
            began = chip.cycles()
            while chip.cycles() < began + 10_000:
                continue
            chip.hold_break(False)
            assert chip.port.recv(1)[0] == small.fuses[0x7E]

    def test_no_secret_in_the_program(self, small):
        program = small.model.program.read_bytes() + small.model.program.with_name(
            f"{small.model.program.name}.v").read_bytes()
        for row in KEYS.values():
            assert small.fuses[row : row + KEY_BYTES] not in program
        assert "Contents()" in repr(small.model)

    def test_a_bitstream_of_another_design_is_refused(self, small, tmp_path):
        text = small.built.fuse_text()
        place = a_table(small.built, small.board.family)
        text.set_table(place, text.table(place) ^ 1)
        (tmp_path / "other.txt").write_text(text.text())
        pack(small.board.family, tmp_path / "other.txt", tmp_path / "other.bin", Tools(small.board.family))
        with pytest.raises(UsageError, match="of no build"):
            prepare(small.board, small.builds, tmp_path / "other.bin")

    def test_contents_that_were_not_placed_are_refused(self, small):
        """Were the packer's text another one than the netlist, it would be found out."""
        text = TEXTS[small.board.family](small.built.text.read_text())
        placed = Placed(load(small.built.folder / "routed.json"), small.board.family)
        assert placed.contents(text).tables == 0  # blank
        place = a_table(small.built, small.board.family)
        text.set_table(place, text.table(place) ^ 0xFFFF)
        with pytest.raises(Unmodelled, match="does not hold in the bitstream what was placed"):
            placed.contents(text)


    def test_a_switch_that_is_off_is_found_out(self, small):
        if small.board.family != "ecp5":
            pytest.skip("IceStorm's text has no names of switches")
        placed = Placed(load(small.built.folder / "routed.json"), small.board.family)
        text = small.built.text.read_text()
        switch = re.search(r"arc: [ABCD]\d \w+\n", text)[0]
        with pytest.raises(Unmodelled, match="which the bitstream does not"):
            placed.verilog(TEXTS["ecp5"](text.replace(switch, "", 1)))
        start, end = switch.split()[:0:-1]
        with pytest.raises(Unmodelled, match="which the netlist does not"):
            placed.verilog(TEXTS["ecp5"](text.replace(switch, f"{switch}arc: {end} {start}9\n", 1)))


def a_table(built, family):
    """The place of a look-up table that is no fuse."""
    modules = json.loads((built.folder / "routed.json").read_text())["modules"].values()
    cells = next(module for module in modules if module.get("attributes", {}).get("top"))["cells"]
    kind, contents = {"up5k": ("ICESTORM_LC", "LUT_INIT"), "ecp5": ("TRELLIS_COMB", "INITVAL")}[family]
    name = next(name for name, cell in cells.items() if cell["type"] == kind and not name.startswith("$")
                and ".fuses." not in name and 0 < int(cell["parameters"][contents].replace("x", "0"), 2) < 0xFFFF)
    return FORMATS[family].cells(cells, name.removesuffix("_LC"))


# The block


@pytest.fixture(scope="module")
def placed(request):
    """A board's build."""
    chosen = board(request.param)
    return SimpleNamespace(board=chosen, built=build(chosen.target(), BUILDS))


def url(placed, bitstream):
    return f"postroute://?board={placed.board.name}&builds={BUILDS}&bitstream={bitstream}"


@contextlib.contextmanager
def bench(chip):
    port, seconds = open_port(chip)
    clock = getattr(port, "clock", time.monotonic)
    with contextlib.closing(port):
        yield Bench(port, clock, partial(Chip, port, seconds_per_byte=seconds, clock=clock), reset=True, burn=False)


@pytest.mark.parametrize("placed", BOARDS, indirect=True)
class TestBlock:
    def test_the_whole_self_test_on_a_blank_bitstream(self, placed):
        """Every check there is; the chip is manufactured, raised and scrapped."""
        done = run(url(placed, placed.built.bitstream), burn=True)
        assert not [result for result in done.results if result.outcome == Outcome.FAILED], done
        assert len(done.of(Outcome.PASSED)) > len(done.results) // 2

    def test_the_model_with_the_same_fuses_finds_its_report_good(self, placed, tmp_path):
        record = new_record(provisioning_signers=(bytes(32), bytes(32)), lepubkeyhash=material.owner())
        fuses = device_fuses(fuses_of(record))
        write_fuses(placed.built, fuses, tmp_path / "mine")
        FuseFile.create(tmp_path / "fuses")
        with FuseFile.power_on(tmp_path / "fuses") as bank:
            bank.bank.burn(0, fuses)
        data = secrets.token_bytes(64)
        with bench(url(placed, tmp_path / "mine")) as chip:
            assert chip.identity.booted_locked and chip.identity.device_id == record.device_id
            assert chip.identity.cpusvn == record.cpusvn
            with chip.enclave() as resident, chip.entry(resident) as ticket:
                report = chip.report(ticket, resident.identity.target(), data)
                sealing = chip.key(ticket, KeyName.SEAL, KeyPolicy.MRENCLAVE)
        with (bench(f"model://?fuses={tmp_path / 'fuses'}") as model, model.enclave() as resident,
              model.entry(resident) as ticket):
            assert bytes(report.body.replace(reportdata=bytes(64))) == bytes(resident.identity)
            assert report.body.reportdata == data
            mac = CMAC(AES(model.key(ticket, KeyName.REPORT, keyid=report.keyid)))
            mac.update(bytes(report.body))
            assert mac.finalize() == report.mac
            assert model.key(ticket, KeyName.SEAL, KeyPolicy.MRENCLAVE) == sealing
