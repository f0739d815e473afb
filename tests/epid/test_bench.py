"""`fusequote bench epid`: every operation is there, for every back end, and the table goes where it is told."""

import json
import os

import pytest
import typer
from fusequote.cli.document import MarkedDocument
from fusequote.cli.settings import Settings, use
from fusequote.epid import bench
from fusequote.epid.arithmetic import available
from fusequote.epid.bench import Row, Shared, command, measure
from fusequote.epid.benchtables import AIMS, HEAD, aims, markdown, tables
from fusequote.errors import EnvironmentProblem, UsageError


def test_all_operations_are_measured(tmp_path):
    heard = []
    rows, shared = measure(list(available())[:1], 0.01, 20, heard.append)
    names = [row.what for row in rows]
    assert names[0] == "pairing" and rows[0].pairings == 1
    for what in ("sign", "verify", "issue", "join request", "sign with a pre-signature", "verify, SigRL of 10"):
        assert what in names
    assert all(0 < row.least <= row.low <= row.median <= row.high and row.wall > 0 for row in rows)
    assert heard == list(range(1, len(rows) + 1))
    assert all(s.one > 0 and s.all > 0 and 1 <= s.possible <= s.processors for s in shared)
    document = tmp_path / "performance.md"
    begin, end = (f"<!-- fusequote bench epid: {word} -->" for word in ("begin", "end"))
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    MarkedDocument(document, "epid").put(markdown(rows, shared))
    text = document.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    assert text.count("\n| ") == sum(len(cells) + 2 for _, _, cells in tables(rows, shared))
    assert "| " + " | ".join(HEAD) + " |" in text
    (tmp_path / "other.md").write_text("nothing")
    with pytest.raises(UsageError, match="no place"):
        MarkedDocument(tmp_path / "other.md", "epid")


def test_shares_are_compared_on_one_processor_and_on_all(monkeypatch):
    """Both times are of the same work, and the process may use all processors again afterwards."""
    everywhere, seen = os.sched_getaffinity(0), []
    arithmetic = bench.load(available()[0])
    monkeypatch.setattr(bench, "SHARED_RUNS", 2)
    real = bench.Bench._with_sigrl

    def watched(self, size):
        def watch(call):
            return lambda: (seen.append((size, len(os.sched_getaffinity(0)))), call())

        return [watch(call) for call in real(self, size)]

    monkeypatch.setattr(bench.Bench, "_with_sigrl", watched)
    shared = list(bench.Bench(arithmetic, 0.01, 40).shared())
    assert os.sched_getaffinity(0) == everywhere
    if not arithmetic.parallel or len(everywhere) == 1:
        assert not shared
        return
    assert [s.what for s in shared] == ["sign, SigRL of 40", "verify, SigRL of 40"]
    assert seen == [(40, 1), (40, len(everywhere))] * 4


def test_aims_are_per_entry():
    def row(back_end, what, seconds):
        return Row(back_end, what, 3, seconds, seconds, seconds, seconds / 2, seconds, 1.0)

    rows = [row("c", "sign", 1e-3), row("c", "sign, SigRL of 100", 1.0), row("c", "sign, SigRL of 10", 0.003)]
    rows += [row("c", "verify", 1e-3), row("c", "verify, PrivRL of 1,000", 0.041), row("int", "sign", 4e-3)]
    found = {(name, what): (median, least) for name, what, _, median, least in aims(rows)}
    assert found["c", "SigRL entry, to prove"] == pytest.approx((2e-4, 1e-4))
    assert found["c", "PrivRL entry"] == pytest.approx((4e-5, 2e-5))
    assert found["int", "sign"] == (4e-3, 2e-3)
    assert set(found) <= {(name, what) for name, what, _ in AIMS} and len(found) == 5
    shown = {title: cells for title, _, cells in tables(rows, [Shared("c", "sign", 2, 0.4, 0.25, 1.9)])}
    assert shown[next(title for title in shown if "aimed" in title)][0][-2:] == ("83 %", "42 %")
    assert shown[next(title for title in shown if "all 2" in title)][0][-2:] == ("1.60", "1.90")


def test_command(capsys):
    use(Settings(json=True))
    assert command([available()[0]], 0.01, 0, None) == 0
    facts = json.loads(capsys.readouterr().out)["facts"]
    assert facts[f"{available()[0]}: sign with a pre-signature, us"] > 0
    with pytest.raises(EnvironmentProblem, match="abacus"):
        command(["abacus"], 0.01, 0, None)
    application = typer.Typer()
    application.command("epid")(command)
    assert typer.main.get_command(application).params
