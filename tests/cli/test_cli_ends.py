"""How a run ends: bugs, interrupts, readers that go away, packages that are missing."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from fusequote.cli import registry
from fusequote.cli.run import INTERNAL, INTERRUPTED, PIPE_BROKEN
from fusequote.cli.run import run as run_cli
from fusequote.errors import EnvironmentProblem

FUSEQUOTE = Path(sys.executable).parent / "fusequote"


@pytest.fixture
def contributed(monkeypatch):
    """Contribute a command for this test: ``contributed("name", function)``."""

    def contribute(name: str, value: object) -> None:
        point = importlib.metadata.EntryPoint(name, "json:dumps", registry.GROUP)
        known = registry.entry_points()
        monkeypatch.setattr(registry, "entry_points", lambda group=registry.GROUP: {**known, name: point})
        loaded = {name: value}
        original = importlib.metadata.EntryPoint.load

        def load(self):
            found = loaded.get(self.name, original)
            if found is original:
                return original(self)
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(importlib.metadata.EntryPoint, "load", load)

    return contribute


def test_a_bug_is_one_line(contributed, capsys, as_document):
    def crash() -> None:
        """Fail."""
        raise ZeroDivisionError("a bug\nof two lines")

    contributed("crash", crash)
    assert run_cli(["crash"]) == INTERNAL
    err = capsys.readouterr().err
    assert "ZeroDivisionError: a bug of two lines" in err
    assert "report it" in err
    assert "Traceback" not in err
    assert run_cli(["crash", "--debug"]) == INTERNAL
    assert "Traceback" in capsys.readouterr().err
    assert run_cli(["crash", "--json"]) == INTERNAL
    document = as_document(capsys.readouterr().out)
    assert (document["kind"], document["exit_code"]) == ("internal", INTERNAL)


def test_an_interrupt(contributed, capsys):
    def wait() -> None:
        """Be interrupted."""
        raise KeyboardInterrupt

    contributed("wait", wait)
    assert run_cli(["wait"]) == INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_while_it_works(folder):
    """SIGINT at the first step: exit code 130, no traceback, and the chip is free for the next run."""
    home = folder / "home"
    process = subprocess.Popen(
        [FUSEQUOTE, "attest", "--reprovision", "--chip", "model://", "--home", home],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("1 manufacture")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, (out, err)
    assert "Traceback" not in err
    assert run_cli(["attest", "--chip", "model://", "--home", str(home), "--json"]) == 0


def test_a_reader_that_goes_away():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [FUSEQUOTE, "--help"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    os.close(writing)
    assert done.returncode == PIPE_BROKEN
    assert done.stderr == ""


def test_a_missing_extra_names_its_extra(contributed, capsys):
    contributed("serve", ModuleNotFoundError("No module named 'fastapi'", name="fastapi"))
    assert run_cli(["serve"]) == 3
    assert "pip install 'fusequote[server]'" in capsys.readouterr().err
    assert run_cli(["--help"]) == 0, "help still lists all"
    assert "serve" in capsys.readouterr().out
    assert run_cli(["verify", "--help"]) == 0, "and the others work"


def test_a_damaged_command(contributed, capsys):
    contributed("broken", ImportError("cannot import name 'x'"))
    assert run_cli(["broken"]) == 3
    assert "cannot be loaded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "extra"),
    [("fastapi", "server"), ("gmpy2", "fast"), ("amaranth_boards", "fpga"), ("hypothesis", "dev")],
)
def test_extras_of_modules(module, extra):
    error = registry.missing_package(ModuleNotFoundError(name=module), "this")
    assert isinstance(error, EnvironmentProblem)
    assert error.hint == f"pip install 'fusequote[{extra}]'"


def test_groups_get_the_common_options(contributed, capsys):
    app = typer.Typer()

    @app.callback()
    def group() -> None:
        """A group."""

    @app.command()
    def show() -> None:
        """Show."""
        from fusequote.cli.settings import current

        print(current().json, current().home_folder)

    contributed("group", app)
    assert run_cli(["group", "show", "--json", "--home", "somewhere"]) == 0
    assert capsys.readouterr().out == "True somewhere\n"
    assert run_cli(["group"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_help_loads_no_command():
    """`fusequote --help` imports neither the services nor the curve arithmetic nor any simulator."""
    code = (
        "import sys; from fusequote.cli import main; main(['--help']); "
        "heavy = {'sqlalchemy', 'cryptography', 'amaranth', 'fusequote.epid', 'fusequote.api', 'fusequote_sim'};"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_line_of_help_comes_from_a_docstring():
    for name, point in registry.entry_points().items():
        assert registry.summary(point), name
