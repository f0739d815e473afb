"""The profile linux-sgx-sim against Intel's simulation mode: the model on all known answers, the RTL on one of each
leaf, and on all of them in the slow suite.
"""

import json
from pathlib import Path

import pytest
from amaranth.back import rtlil
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseBank
from fusequote.chip.model import ModelChip
from fusequote.chip.model.state import Enclave, Tcs
from fusequote.errors import FormatError, UsageError
from fusequote_hdl.block import Block
from fusequote_hdl.microcode import assemble, keys_simulation
from fusequote_hdl.simulation_block import SimulationBlock
from fusequote_sim import simulation_vectors
from fusequote_sim.simulation_vectors import TICKET, load, main, run

FILE = Path(__file__).parents[1] / "vectors" / "sgx" / "simulation_mode.json"
VECTORS = load(FILE)
IDENTIFY = 0x01


def model_for(vector, profile="linux-sgx-sim"):
    """A model chip with the vector's CPUSVN and its SECS in slot 0, entered."""
    fuses = FuseBank()
    for offset, content in ((0, bytes([3, 1, 0, 1])), (0x80, vector.cpusvn), (0x100, b"K" * 16), (0x110, b"S" * 16)):
        fuses.burn(offset, content)
    chip = ModelChip(fuses, SimulatedEntropy("vectors", 1), profile=profile)
    secs = vector.secs

    def number(start, size):
        return int.from_bytes(secs[start:start + size], "little")

    chip._machine.slots[0] = Enclave(
        eid=1, size=number(0, 8), baseaddr=number(8, 8), ssaframesize=number(16, 4), miscselect=number(20, 4),
        cet_leg_bitmap_offset=number(24, 8), cet_attributes=secs[32], attributes=number(48, 16),
        mrenclave=secs[64:96], mrsigner=secs[128:160], configid=secs[192:256], isvprodid=number(256, 2),
        isvsvn=number(258, 2), configsvn=number(260, 2), isvfamilyid=secs[262:278], isvextprodid=secs[278:294],
        tcs=[Tcs(offset=0, nssa=1, oentry=0, ticket=TICKET)],
    )
    return chip


def answers_of_model(vector):
    chip = model_for(vector)
    for seq, (leaf, body, right) in enumerate(vector.commands(), 1):
        op = {"EGETKEY": 0x28, "EREPORT": 0x27}[leaf]
        yield leaf, chip.execute(bytes([op, seq]) + body)[2:], right


def test_the_file_has_what_it_should():
    names = {(vector.keyrequest[0], vector.status) for vector in VECTORS}
    assert len(VECTORS) == 30
    assert {name for name, _ in names} >= {0, 2, 4} and {status for _, status in names} == {0, 2, 32, 64}


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_the_model_on_every_vector(vector):
    answers = list(answers_of_model(vector))
    assert [leaf for leaf, _, _ in answers] == ["EGETKEY", "EREPORT"]
    for _, answer, right in answers:
        assert answer == right


def test_messages_give_the_base_keys():
    """The key box gets each base key as the MAC of a block under the key 0."""
    for name, message in keys_simulation.BASE_KEY_MESSAGES.items():
        mac = CMAC(AES(bytes(16)))
        mac.update(message)
        assert mac.finalize() == keys_simulation.BASE_KEYS[name]


@pytest.mark.parametrize(("name", "size"), [(0, 128), (1, 104), (2, 200), (3, 192), (4, 280)])
def test_sizes_of_the_structures(name, size):
    layout = keys_simulation.LAYOUTS[name]
    assert sum(p if isinstance(p, int) else len(p) if isinstance(p, bytes) else p[1] for p in layout) == size


# -- the RTL ----------------------------------------------------------------------------------------------------------

def test_the_command(tmp_path, capsys):
    """A key, a report and a wrong answer, on the RTL."""
    entries = json.loads(FILE.read_text())["vectors"]
    seal = next(entry for entry in entries if entry["keyrequest"].startswith("04") and entry["rc"] == 0)
    key = {name: seal[name] for name in ("secs", "cpusvn", "keyrequest", "rc", "key")}
    report = {name: seal[name] for name in ("secs", "cpusvn", "targetinfo", "reportdata", "report")}
    wrong = {name: entries[0][name] for name in ("secs", "cpusvn", "keyrequest")} | {"rc": 64}
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps({"vectors": [key, report, wrong]}))
    assert entries[0]["rc"] == 2 and main([str(path)]) == 10
    said = capsys.readouterr()
    assert said.out.splitlines() == ["vector 2, EGETKEY: 0200, not 4000", "2 of 3 answers are right"]
    assert said.err.splitlines() == ["0 EGETKEY ok", "1 EREPORT ok", "2 EGETKEY WRONG"]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_vector_on_rtl():
    assert run(VECTORS) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_key_on_rtl_as_on_the_model():
    """With KSS, all policies and both ids: what the known answers do not have."""
    base = VECTORS[0]
    secs = bytearray(base.secs)
    secs[48:50] = bytes([0xF5, 0x00])
    secs[192:256], secs[258:262] = bytes(range(64)), bytes([9, 0, 5, 0])
    secs[262:294] = b"family id of 16B" + b"extended product"
    vectors = []
    for name in range(6):
        request = bytearray(base.keyrequest)
        request[0], request[2], request[4:6], request[76:78] = name, 0x3B, bytes([8, 0]), bytes([4, 0])
        request[8:24] = bytes(16)
        vector = simulation_vectors.Vector(bytes(secs), keys_simulation.CPUSVNS[2], bytes(request), 0, bytes(16))
        ((_, answer, _),) = answers_of_model(vector)
        status = int.from_bytes(answer[:2], "little")
        assert status == (256 if name == 5 else 0)
        vectors.append(simulation_vectors.Vector(vector.secs, vector.cpusvn, vector.keyrequest, status, answer[2:]))
    assert len({vector.key for vector in vectors}) == 6
    assert run(vectors) == []


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"vectors": [1]}', '{"vectors": []}', '{"vectors": [{"secs": "00"}]}',
    '{"vectors": [{"secs": "zz", "cpusvn": ""}]}', '{"vectors": [{"secs": "00", "cpusvn": "00"}]}',
    '{"vectors": [{"secs": "00", "cpusvn": "00", "keyrequest": "00", "rc": -1}]}',
    '{"vectors": [{"secs": "00", "cpusvn": "%s", "keyrequest": "00", "rc": 0}]}' % ("00" * 17),
])
def test_files_that_are_none(tmp_path, capsys, text):
    path = tmp_path / "vectors.json"
    path.write_text(text)
    with pytest.raises(FormatError):
        load(path)
    assert main([str(path)]) == 2
    assert capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError):
        load(tmp_path / "none.json")


# -- profiles ---------------------------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_refused_for_a_board():
    class Platform:
        fusequote_bitstream = True

    with pytest.raises(ValueError, match="not for a board"):
        rtlil.convert(SimulationBlock(), platform=Platform(), emit_src=False)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_unknown_profiles():
    with pytest.raises(ValueError, match="no profile"):
        Block(profile="kd2")
    with pytest.raises(UsageError, match="no profile"):
        ModelChip(FuseBank(), SimulatedEntropy("x", 1), profile="kd2")


@pytest.mark.parametrize(("profile", "number"), [("kd1", 1), ("linux-sgx-sim", 2)])
def test_identify_says_so(profile, number):
    chip = ModelChip(FuseBank(), SimulatedEntropy("x", 1), profile=profile)
    assert chip.execute(bytes([IDENTIFY, 0]))[4 + 16] == number
    words = assemble(profile=profile).words
    assert words != assemble(profile={"kd1": "linux-sgx-sim", "linux-sgx-sim": "kd1"}[profile]).words
