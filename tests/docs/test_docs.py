"""Every command that README.md and docs/*.md show is run: a document that lies fails here.

In a fenced ``console`` block, lines with the prompt ``$ `` are commands, the others are output and not compared. In a
block without a language, lines that begin with ``fusequote `` are commands too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPTS = {"console": "$ ", "": "fusequote "}
#: Commands that .ci/run itself runs, or that fetch and install; a test cannot.
ELSEWHERE = re.compile(r"(git clone|cd |python3 -m venv|\S*pip install|sudo |apt )")


def commands(document: Path) -> list[str]:
    """The commands of a document, in order."""
    found = []
    for language, block in BLOCK.findall(document.read_text("utf-8")):
        prompt = PROMPTS.get(language)
        if prompt:
            found += [line.removeprefix("$ ") for line in block.splitlines() if line.startswith(prompt)]
    return found


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


SHOWN = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCUMENTS if commands(path)]


@pytest.mark.rtl
@pytest.mark.parametrize("document", SHOWN)
def test_commands_of_a_document(document, tmp_path):
    """In the order shown, in one home folder and one working folder, each with exit code 0."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "FUSEQUOTE_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
        "COLUMNS": "120",
    }
    # Builds are kept where all tests keep them: what has not changed is not built again.
    (tmp_path / "home" / "cache").mkdir(parents=True)
    cache = ROOT / "build" / "test-cache" / "sim"
    cache.mkdir(parents=True, exist_ok=True)
    (tmp_path / "home" / "cache" / "sim").symlink_to(cache)
    work = tmp_path / "work"
    work.mkdir()
    for command in commands(document):
        if ELSEWHERE.match(command):
            continue
        made = re.match(r"make ([a-z]+)", command)
        if made:
            assert made[1] in make_targets(), f"{document.name}: the Makefile has no target {made[1]}"
            continue
        command = command.replace(".venv/bin/", "")
        done = subprocess.run(
            ["bash", "-c", command], cwd=work, env=environment, capture_output=True, text=True, timeout=300,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{document.name}: $ {command}\n{done.stdout}{done.stderr}"


def test_documents_show_commands():
    """The README and the command line's page do show commands: else nothing above is tested."""
    assert commands(ROOT / "README.md")
    assert len(commands(ROOT / "docs" / "cli.md")) >= 5


def test_links_between_documents():
    """Relative links lead to files that are there."""
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_exit_codes_are_documented():
    """docs/cli.md lists every exit code that the program has."""
    from fusequote.cli.run import INTERNAL, INTERRUPTED, PIPE_BROKEN
    from fusequote.errors import ExitCode

    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)}
    assert listed == {*map(int, ExitCode), INTERNAL, INTERRUPTED, PIPE_BROKEN}


def test_every_command_is_documented():
    """docs/cli.md names every command that this distribution contributes."""
    from fusequote.cli.registry import entry_points

    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    ours = [name for name, point in entry_points().items() if point.dist and point.dist.name == "fusequote"]
    assert ours
    for name in ours:
        assert re.search(rf"\b{name}\b", text), f"docs/cli.md does not mention {name}"
