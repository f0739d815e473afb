"""The command line in this process, in home folders that are made once and copied."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fusequote.cli import main
from fusequote.enclave import sample_image, sign_image, write_sgxs
from fusequote.home import Home
from fusequote.platform.signers import Signers
from fusequote.verdict import load_schema
from jschon import JSON, JSONSchema, create_catalog

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    create_catalog("2020-12")
    SCHEMA = JSONSchema({**load_schema(), "$id": "https://fusequote.invalid/verdict-1"})


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout, which keeps to the schema."""
        document = json.loads(self.out)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # jschon's, about a library of its own
            evaluated = SCHEMA.evaluate(JSON(document))
        assert evaluated.valid, evaluated.output("basic")
        return document

    def complains(self, code: int, *words: str) -> None:
        """Exit code, one line that holds ``words``, at most one hint, and no traceback."""
        assert self.code == code, (self.code, self.out, self.err)
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        rest = self.err[self.err.index("error: ") :].splitlines()
        assert len(rest) <= 2, self.err
        for word in words:
            assert word.lower() in self.err.lower(), (word, self.err)
        assert "Traceback" not in self.err + self.out


@pytest.fixture
def as_document():
    """``as_document(text)``: the one JSON document of ``text``, which keeps to the schema."""
    return lambda text: Ran(0, text, "").document


@pytest.fixture
def run(capsys, home):
    """Run a command: ``run("attest", "--json")``. The home folder is the test's own."""

    def run(*arguments: object, own_home: bool = True) -> Ran:
        capsys.readouterr()
        place = ["--home", str(home)] if own_home else []
        code = main([str(argument) for argument in (*place, *arguments)])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture(scope="session")
def ready(tmp_path_factory) -> Path:
    """A folder with a ``home`` that has attested once, an enclave ``app.sgxs`` with ``app.sig``, and ``app.quote``."""
    folder = tmp_path_factory.mktemp("ready")
    home = str(folder / "home")
    quote = str(folder / "app.quote")
    signer = Signers(Home(home)).application
    image = sample_image("an enclave of the tests")
    with (folder / "app.sgxs").open("wb") as file:
        write_sgxs(image, file)
    (folder / "app.sig").write_bytes(sign_image(image, signer, isvprodid=7, isvsvn=3).to_bytes())
    enclave = str(folder / "app.sgxs")
    assert main(["attest", enclave, "--home", home, "--chip", "model://", "--json", "--quote-out", quote]) == 0
    return folder


@pytest.fixture
def folder(ready, tmp_path) -> Path:
    """A copy of :func:`ready`, to be spoilt."""
    shutil.copytree(ready, tmp_path / "ready")
    return tmp_path / "ready"


@pytest.fixture
def home(folder) -> Path:
    """The home folder of the test."""
    return folder / "home"
