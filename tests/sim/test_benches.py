"""The cocotb benches of the engines and of the block, each on a small model of its own."""

from __future__ import annotations

import pytest
from fusequote_sim.bench import run_benches
from fusequote_sim.design import BLOCK, Design
from sim_toy import TOY

pytestmark = [pytest.mark.rtl, pytest.mark.timeout(900)]

ENGINES = ("fusequote_hdl.engines",)


@pytest.mark.parametrize(("component", "module"), [
    ("fusequote_hdl.engines.aes:AES128", "bench_aes"),
    ("fusequote_hdl.engines.cmac:CMAC", "bench_cmac"),
    ("fusequote_hdl.engines.sha256:SHA256", "bench_sha256"),
])  # fmt: skip
def test_engine(cache, component, module):
    assert run_benches(Design(component, modules=ENGINES), module, cache=cache) == {}


def test_block(cache):
    assert run_benches(BLOCK, "bench_block", cache=cache) == {}


def test_a_failing_bench_is_seen(cache):
    failures = run_benches(TOY, "bench_toy", cache=cache)
    assert list(failures) == ["bad"]
    assert "a bit is never two" in failures["bad"]


def test_no_bench_is_no_success(cache):
    with pytest.raises(RuntimeError, match="no bench was found"):
        run_benches(TOY, "bench_streams", cache=cache)
