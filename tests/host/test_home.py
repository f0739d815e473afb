"""The home folder: modes, locks, atomic writes, and what damage looks like."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fusequote.errors import EnvironmentProblem, ExitCode, FusequoteError, UsageError
from fusequote.home import CorruptFile, Home, write_atomic


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_and_files_are_private(tmp_path):
    home = Home(tmp_path / "new" / "home")
    home.secret("x")
    home.p256_key("k")
    write_atomic(home.chips / "f", b"data")
    for path in [home.root, *home.root.rglob("*")]:
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path


def test_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSEQUOTE_HOME", str(tmp_path / "env"))
    assert Home().root == tmp_path / "env"
    assert Home(tmp_path / "arg").root == tmp_path / "arg"
    monkeypatch.delenv("FUSEQUOTE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert Home().root == tmp_path / "xdg" / "fusequote"


def test_a_folder_that_was_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    Home(tmp_path)
    assert mode(tmp_path) == 0o755 and mode(tmp_path / "keys") == 0o700


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"x" * 5000])
def test_a_damaged_description(tmp_path, content):
    Home(tmp_path)
    (tmp_path / "home.json").write_bytes(content)
    with pytest.raises(CorruptFile) as caught:
        Home(tmp_path)
    assert "home.json" in str(caught.value) and caught.value.hint and caught.value.exit_code == ExitCode.USAGE


def test_a_newer_format(tmp_path):
    Home(tmp_path)
    (tmp_path / "home.json").write_text('{"fusequote_home": 2}')
    with pytest.raises(UsageError, match="format 2"):
        Home(tmp_path)


def test_a_home_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem) as caught:
        Home(tmp_path / "file" / "home")
    assert caught.value.exit_code == ExitCode.ENVIRONMENT


def test_keys_are_made_once_and_kept(tmp_path):
    home = Home(tmp_path)
    key = home.p256_key("k")
    assert Home(tmp_path).p256_key("k").private_numbers() == key.private_numbers()
    assert home.secret("s") == Home(tmp_path).secret("s") != home.secret("t")


def test_keys_that_are_none(tmp_path):
    home = Home(tmp_path)
    home.p256_key("k")
    for content in (b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\0" * 100):
        (home.keys / "bad.pem").write_bytes(content)
        with pytest.raises(CorruptFile, match="bad.pem"):
            home.p256_key("bad")
    with pytest.raises(CorruptFile, match="another kind"):
        home.rsa_key("k", 2048)
    (home.keys / "s.key").write_bytes(b"short")
    with pytest.raises(CorruptFile, match="holds 5 bytes"):
        home.secret("s")


def test_an_rsa_key_whose_numbers_do_not_belong_together(tmp_path):
    home = Home(tmp_path)
    good = home.rsa_key("k", 2048).private_numbers()
    assert home.rsa_key("k", 2048).private_numbers() == good
    given = {name: getattr(good, name) for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp")}
    for name, value in given.items():
        wrong = rsa.RSAPrivateNumbers(**given | {name: value - 2}, public_numbers=good.public_numbers)
        with contextlib.suppress(ValueError):  # some are too wrong to be written
            key = wrong.private_key(unsafe_skip_rsa_key_validation=True)
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (home.keys / "k.pem").write_bytes(pem)
            with pytest.raises(CorruptFile, match="k.pem"):
                home.rsa_key("k", 2048)


def test_one_key_for_many_who_ask_at_once(tmp_path):
    home, found = Home(tmp_path), []
    threads = [threading.Thread(target=lambda: found.append(home.secret("one"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_atomic(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentProblem, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_an_exclusive_write_does_not_overwrite(tmp_path):
    write_atomic(tmp_path / "f", b"first", exclusive=True)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "f", b"second", exclusive=True)
    assert (tmp_path / "f").read_bytes() == b"first"


def test_every_error_is_ours():
    assert issubclass(CorruptFile, FusequoteError)
