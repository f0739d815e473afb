"""`fusequote bench epid`: every operation is there, for every back end, and the table goes where it is told."""

import json

import pytest
import typer
from fusequote.cli.document import MarkedDocument
from fusequote.cli.settings import Settings, use
from fusequote.epid.arithmetic import available
from fusequote.epid.bench import HEAD, command, markdown, measure
from fusequote.errors import EnvironmentProblem, UsageError


def test_all_operations_are_measured(tmp_path):
    rows = list(measure(list(available())[:1], 0.01, 10))
    names = [row.what for row in rows]
    assert names[0] == "pairing" and rows[0].pairings == 1
    for what in ("sign", "verify", "issue", "join request", "sign with a pre-signature", "verify, SigRL of 10"):
        assert what in names
    assert all(0 < row.low <= row.median <= row.high for row in rows)
    assert all(row.cpu > 0 for row in rows)
    document = tmp_path / "performance.md"
    begin, end = (f"<!-- fusequote bench epid: {word} -->" for word in ("begin", "end"))
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    MarkedDocument(document, "epid").put(markdown(rows))
    text = document.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    assert text.count("\n| ") == len(rows) + 2 and HEAD[0] in text
    (tmp_path / "other.md").write_text("nothing")
    with pytest.raises(UsageError, match="no place"):
        MarkedDocument(tmp_path / "other.md", "epid")


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
