"""`fusequote epid` and the two programs with Intel's options, on files, from the first nonce to the last list."""

import json
import os
import stat
import subprocess
import sys

import pytest
from fusequote.cli import main
from fusequote.epid import (
    GroupRl,
    MemberPrecomp,
    PrivRl,
    SigRl,
    UncheckedPrivRl,
    UncheckedVerifierRl,
    Verifier,
    VerifierRl,
    compressed,
    files,
)
from fusequote.epid.intel import signmsg, verifysig
from fusequote.epid.ledger import IssuerFolder, Ledger
from fusequote.epid.params import G1_GENERATOR, P
from fusequote.errors import EnvironmentProblem

SECRET, PUBLIC = 0o600, 0o644


@pytest.fixture
def epid(monkeypatch, capsys, tmp_path):
    """Runs ``fusequote epid ..`` in a folder of its own; gives exit code and the JSON document."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        code = main(["--json", "epid", *map(str, arguments)])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return run


PUBLIC_FILES = ("--ca", "group/cacert.bin", "--group", "group/pubkey.bin")


def join(epid, name):
    for step in (
        ("nonce", "group", "-o", "nonce.dat"),
        ("join", *PUBLIC_FILES, "--nonce", "nonce.dat", "--secret", f"{name}.f", "-o", "request.dat"),
        ("issue", "group", "--nonce", "nonce.dat", "--request", "request.dat", "-o", "credential.dat"),
        ("join", *PUBLIC_FILES, "--credential", "credential.dat", "--secret", f"{name}.f", "-o", f"{name}.key"),
    ):
        code, document = epid(*step)
        assert code == 0, document


@pytest.fixture(params=["00000b0c", None], ids=["SGX", "SDK"])
def ready(request, epid):
    """A group with two members."""
    gid = ("--gid", request.param) if request.param else ()
    assert epid("group", "group", *gid)[0] == 0
    join(epid, "alice")
    join(epid, "bob")
    return epid


def sign(epid, who, *more, out="sig.dat"):
    return epid("sign", *PUBLIC_FILES, "-k", f"{who}.key", "-m", "hello", "-o", out, *more)


def verdict(epid, *more, sig="sig.dat"):
    code, document = epid("verify", sig, *PUBLIC_FILES, "-m", "hello", *more)
    return code, document["facts"]["result"]


def test_life_of_a_group(ready, tmp_path):
    epid = ready
    group = tmp_path / "group"
    modes = {name: stat.S_IMODE((group / name).stat().st_mode) for name in os.listdir(group)}
    assert modes["issuer.key"] == modes["ca.pem"] == SECRET and modes["pubkey.bin"] == PUBLIC
    assert stat.S_IMODE((tmp_path / "alice.key").stat().st_mode) == SECRET
    assert len(IssuerFolder(group).ledger.issued()) == 2

    assert sign(epid, "alice", "-b", "shop")[0] == 0
    assert verdict(epid, "-b", "shop") == (0, "kEpidSigValid")
    assert verdict(epid, "-b", "other") == (10, "kEpidSigInvalid")
    rl = ("--sigrl", "group/sigrl.bin")
    assert verdict(epid, *rl) == (0, "kEpidSigValid"), "version 0, no entries"

    # revoked by signature
    request = files.SigRlRequest(
        IssuerFolder(group).group.gid, (tmp_path / "sig.dat").read_bytes(), b"hello"
    ).to_bytes()
    (tmp_path / "req").write_bytes(request)
    code, document = epid("revoke", "group", "--request", "req", "-b", "shop")
    assert code == 0 and document["facts"]["version"] == 1
    code, document = sign(epid, "alice", *rl)
    assert code == 10 and document["kind"] == "epid-signer-revoked"
    assert verdict(epid, *rl) == (10, "kEpidSigRevokedInSigRl")
    assert sign(epid, "bob", *rl)[0] == 0
    assert verdict(epid, *rl) == (0, "kEpidSigValid")

    # revoked by key, by request and by file
    assert sign(epid, "bob", "-b", "shop")[0] == 0
    code, document = epid("revoke", "group", "-k", "bob.key")
    assert code == 0 and document["facts"]["entries"] == 1
    assert verdict(epid, "--privrl", "group/privrl.bin") == (10, "kEpidSigRevokedInPrivRl")
    key = files.read_member_key((tmp_path / "alice.key").read_bytes())
    (tmp_path / "req").write_bytes(files.priv_rl_request(key))
    assert epid("revoke", "group", "--request", "req")[1]["facts"]["entries"] == 2

    # the verifier's own list
    own = ("-b", "shop", "-V", "own.rl")
    assert epid("verify", "sig.dat", *PUBLIC_FILES, "-m", "hello", "--blacklist")[0] == 2
    code, document = epid("verify", "sig.dat", *PUBLIC_FILES, "-m", "hello", *own, "--blacklist")
    assert code == 0 and document["facts"]["verifier_rl_entries"] == 1
    assert verdict(epid, *own) == (10, "kEpidSigRevokedInVerifierRl")
    assert verdict(epid, *own, "--blacklist") == (10, "kEpidSigRevokedInVerifierRl")

    # the whole group
    assert epid("revoke", "group", "--whole-group")[0] == 0
    assert verdict(epid, "--grprl", "group/grprl.bin") == (10, "kEpidSigRevokedInGroupRl")


def test_compressed_keys_sign(ready, tmp_path):
    folder = IssuerFolder(tmp_path / "group")
    (tmp_path / "carol.key").write_bytes(compressed.create(folder.issuer))
    assert sign(ready, "carol")[0] == 0
    assert verdict(ready) == (0, "kEpidSigValid")


def test_a_bar_past_a_second(ready, tmp_path, monkeypatch):
    """Work of a second or less shows none; after that it hears of all that follows, to the end."""
    from contextlib import contextmanager

    from fusequote.cli import output
    from fusequote.epid import cli

    shown = []

    @contextmanager
    def bar(what, settings):
        shown.append(what)
        yield lambda done, total: shown.append((done, total))
        shown.append("gone")

    folder = IssuerFolder(tmp_path / "group")
    rl = SigRl(folder.group.gid, 1, tuple((G1_GENERATOR, folder.group.h1) for _ in range(40)))
    folder.write_list(rl)
    monkeypatch.setattr(output, "progress", bar)
    monkeypatch.setattr(cli, "monotonic", lambda: 0.0)
    assert sign(ready, "bob", "-S", "group/sigrl.bin")[0] == 0 and shown == []
    clock = iter((0.0, 1.0, 1.1))
    monkeypatch.setattr(cli, "monotonic", lambda: next(clock))
    assert sign(ready, "bob", "-S", "group/sigrl.bin")[0] == 0
    assert shown == ["proving", (32, 40), (40, 40), "gone"]


def test_mistakes_get_a_line_and_a_code(ready, tmp_path):
    epid = ready
    cases = {
        "group": [("group", "group")],
        "gid": [("group", "new", "--gid", "0102"), ("group", "new", "--gid", "zz")],
        "hash": [("group", "new", "--hash", "md5")],
        "join": [("join", *PUBLIC_FILES, "-o", "x"), ("join", *PUBLIC_FILES, "--nonce", "absent", "-o", "x")],
        "issue": [("issue", "group", "--nonce", "nonce.dat", "--request", "nonce.dat", "-o", "x")],
        "sign": [("sign", *PUBLIC_FILES, "-k", "credential.dat", "-m", "x", "-o", "x")],
        "both": [("sign", *PUBLIC_FILES, "-k", "alice.key", "-m", "x", "-M", "nonce.dat", "-o", "x")],
        "empty basename": [("sign", *PUBLIC_FILES, "-k", "alice.key", "-m", "x", "-b", "", "-o", "x")],
        "revoke": [
            ("revoke", "group"),
            ("revoke", "group", "--request", "nonce.dat"),
            ("revoke", "nowhere", "--whole-group"),
        ],
        "inspect": [("inspect", "nonce.dat"), ("inspect", "."), ("inspect", "absent")],
        "verify": [("verify", "absent", *PUBLIC_FILES, "-m", "x")],
        "swapped": [("verify", "x", "--ca", "group/pubkey.bin", "--group", "group/cacert.bin", "-m", "x")],
    }
    for name, commands in cases.items():
        for command in commands:
            code, document = epid(*command)
            assert code == 2 and document["type"] == "error", (name, document)
    # a used nonce
    code, document = epid("issue", "group", "--nonce", "nonce.dat", "--request", "request.dat", "-o", "x")
    assert code == 10 and document["kind"] == "epid-join"
    assert not (tmp_path / "x").exists()


def test_inspect(ready, tmp_path):
    epid = ready
    sign(epid, "alice")
    folder = IssuerFolder(tmp_path / "group")
    precomp = MemberPrecomp.compute(
        folder.group, files.read_member_key((tmp_path / "alice.key").read_bytes()).A
    )
    (tmp_path / "precomp").write_bytes(precomp.to_bytes())
    (tmp_path / "small.key").write_bytes(compressed.create(folder.issuer))
    kinds = {
        "group/cacert.bin": "ca certificate file",
        "group/pubkey.bin": "group key file",
        "group/sigrl.bin": "sig rl file",
        "group/privrl.bin": "priv rl file",
        "group/grprl.bin": "group rl file",
        "alice.key": "member private key",
        "credential.dat": "membership credential",
        "small.key": "compressed member key",
        "precomp": "member precomputation",
        "sig.dat": "signature",
    }
    for name, kind in kinds.items():
        code, document = epid("inspect", name)
        assert code == 0 and document["facts"]["type"] == kind, name
        if "key" in name or name in ("credential.dat", "precomp"):
            secrets = (tmp_path / name).read_bytes()[-32:].hex()
            assert name == "group/pubkey.bin" or secrets not in json.dumps(document)


def test_a_damaged_ledger_is_said(ready, tmp_path):
    (tmp_path / "group" / "ledger.db").write_bytes(b"not a database at all" * 100)
    code, document = ready("nonce", "group", "-o", "x")
    assert code == 3 and "ledger" in document["message"]


def test_ledger_is_used_once_by_whoever_comes_first(tmp_path):
    one, other = Ledger(tmp_path / "l.db"), Ledger(tmp_path / "l.db")
    one.remember(b"n" * 32)
    assert [other.consume(b"n" * 32), one.consume(b"n" * 32), one.consume(b"x" * 32)] == [True, False, False]
    one.record(b"n" * 32, b"F", b"A")
    assert [(i.F, i.A) for i in other.issued()] == [(b"F", b"A")]
    with pytest.raises(EnvironmentProblem):
        Ledger(tmp_path / "no" / "such" / "folder.db")


# the programs with Intel's options


@pytest.fixture
def intel(ready, tmp_path, capsys):
    for name in ("cacert.bin", "pubkey.bin", "grprl.bin", "sigrl.bin", "privrl.bin"):
        (tmp_path / name).symlink_to(tmp_path / "group" / name)
    (tmp_path / "mprivkey.dat").symlink_to(tmp_path / "alice.key")
    return ready


def test_intels_programs(intel, tmp_path, capsys):
    assert signmsg(["-m", "hello", "-b", "shop"]) == 0
    assert len((tmp_path / "sig.dat").read_bytes()) == 360
    assert verifysig(["-m", "hello", "-b", "shop"]) == 0
    assert verifysig(["-m", "hello"]) == 0
    assert verifysig(["-m", "other"]) == 1
    assert verifysig(["-m", "hello", "-b", "other"]) == 1
    assert signmsg(["-m", "hello", "-k", "bob.key", "-s", "bob.sig", "-S", "sigrl.bin"]) == 0
    assert verifysig(["-m", "hello", "-s", "bob.sig", "-S", "sigrl.bin", "-P", "pre"]) == 0
    assert len((tmp_path / "pre").read_bytes()) in (1552, 1540)
    assert verifysig(["-m", "hello", "-s", "bob.sig", "-p", "pre"]) == 0
    intel("revoke", "group", "-k", "alice.key")
    assert verifysig(["-m", "hello", "-K", "privrl.bin"]) == 3
    folder = IssuerFolder(tmp_path / "group")
    signature = (tmp_path / "sig.dat").read_bytes()
    folder.write_list(folder.issuer.revoke_signature(folder.read_list(SigRl), signature, b"hello"))
    assert verifysig(["-m", "hello", "-S", "sigrl.bin"]) == 43, "SigRL version mismatch"
    capsys.readouterr()
    assert signmsg(["-m", "hello", "-S", "sigrl.bin"]) == 0, "a revoked signer still ends with 0"
    assert "revoked in SigRL" in capsys.readouterr().err
    assert verifysig(["-m", "hello", "-S", "sigrl.bin"]) == 4
    verifier = Verifier(folder.group, basename=b"shop")
    own = verifier.blacklist(signature, b"hello")
    (tmp_path / "verifierrl.dat").write_bytes(own.to_bytes())
    (tmp_path / "sig.dat").write_bytes(signature)
    assert verifysig(["-m", "hello", "-b", "shop", "-V", "verifierrl.dat"]) == 5
    intel("revoke", "group", "--whole-group")
    assert verifysig(["-m", "hello"]) == 2
    assert "kEpidSigRevokedInGroupRl" in capsys.readouterr().err


def test_intels_programs_with_bad_files(intel, tmp_path, capsys):
    assert signmsg(["-m", "x"]) == 0
    for arguments in (
        ["-g", "absent"],
        ["-c", "pubkey.bin"],
        ["-G", "absent"],
        ["-s", "absent"],
        ["-p", "absent"],
        ["-p", "sig.dat"],
        ["-g", "sig.dat"],
    ):
        assert verifysig(["-m", "x", *arguments]) == 1, arguments
    for arguments in (["-k", "absent"], ["-k", "credential.dat"], ["-S", "pubkey.bin"], ["-p", "sig.dat"]):
        assert signmsg(["-m", "x", *arguments]) == 1
    for program in (signmsg, verifysig):
        for arguments in (["--no-such-option"], ["-m", "a", "-M", "b"], ["--hashalg", "md5"]):
            with pytest.raises(SystemExit) as end:
                program(arguments)
            assert end.value.code == 1
    other = tmp_path / "other"
    IssuerFolder.create(other, b"\0\0\0\1")
    assert verifysig(["-m", "x", "-c", "other/cacert.bin"]) == 1, "a file signature of another CA"
    assert not capsys.readouterr().out


def test_verifysig_gives_the_status_of_what_is_wrong_in_a_file(intel, tmp_path):
    """Modulo 256: 70 kEpidBadArgErr, 50 kEpidBadSignatureErr, 52 kEpidBadPrivRlErr, 56 kEpidBadVerifierRlErr."""
    folder = IssuerFolder(tmp_path / "group")
    gid, other = folder.group.gid, bytes([*folder.group.gid[:-1], folder.group.gid[-1] ^ 1])
    assert signmsg(["-m", "x", "-b", "shop"]) == 0
    signature = (tmp_path / "sig.dat").read_bytes()
    B = signature[:64]
    count_lies = bytearray(PrivRl(gid, 1, (5,)).to_bytes())
    count_lies[len(gid) + 7] = 2

    def signed(kind, payload):
        return files.sign_file(kind, payload, folder.authority, files.Form.of_gid(gid))

    contents = {
        "short": signature[:359],
        "bare": PrivRl(gid).to_bytes(),
        "other group": signed(files.FileType.PRIV_RL, PrivRl(other).to_bytes()),
        "count": signed(files.FileType.PRIV_RL, bytes(count_lies)),
        "other base": VerifierRl(gid, G1_GENERATOR).to_bytes(),
        "zero": signed(files.FileType.PRIV_RL, UncheckedPrivRl(gid, 1, (0,)).to_bytes()),
        "above": signed(files.FileType.PRIV_RL, UncheckedPrivRl(gid, 1, (P,)).to_bytes()),
        "no point": UncheckedVerifierRl(gid, B, 1, (b"\xff" * 64,)).to_bytes(),
        "constants": (lambda d: d[:100] + bytes([d[100] ^ 1]) + d[101:])((tmp_path / "cacert.bin").read_bytes()),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    for arguments, code in (
        (["-s", "short"], 50),
        (["-G", "bare"], 70),
        (["-K", "sigrl.bin"], 70),
        (["-c", "constants"], 70),
        (["-K", "other group"], 52),
        (["-K", "count"], 52),
        (["-V", "other base"], 56),
        (["-K", "zero"], 0),
        (["-K", "above"], 3),
        (["-V", "no point"], 0),
        (["-K", "zero", "--strict"], 52),
        (["-V", "no point", "--strict"], 56),
        (["-V", "no point", "-P", "made"], 0),
        (["-K", "above", "-P", "not made"], 3),
    ):
        assert verifysig(["-m", "x", "-b", "shop", *arguments]) == code, arguments
    assert (tmp_path / "made").exists() and not (tmp_path / "not made").exists()


def test_garbage_proofs_pass_without_a_sigrl_as_with_intel(intel, tmp_path):
    folder = IssuerFolder(tmp_path / "group")
    evidence = folder.issuer
    signmsg(["-m", "x", "-k", "bob.key", "-s", "bob.sig"])
    new = evidence.revoke_signature(folder.read_list(SigRl), (tmp_path / "bob.sig").read_bytes(), b"x")
    folder.write_list(new)
    assert signmsg(["-m", "x", "-S", "sigrl.bin"]) == 0
    data = (tmp_path / "sig.dat").read_bytes()
    (tmp_path / "sig.dat").write_bytes(data[:360] + bytes(160))
    arguments = ("verify", "sig.dat", *PUBLIC_FILES, "-m", "x")
    assert intel(*arguments)[1]["facts"]["number"] == -981
    assert intel(*arguments, "--as-intel")[0] == 0
    assert verifysig(["-m", "x"]) == 0
    assert verifysig(["-m", "x", "--strict"]) == 43
    assert verifysig(["-m", "x", "-S", "sigrl.bin"]) == 4
    assert isinstance(folder.read_list(GroupRl), GroupRl)


def test_as_programs_of_their_own(intel, tmp_path):
    for name in ("signmsg", "verifysig"):
        code = f"import sys; from fusequote.epid.intel import {name}; sys.exit({name}())"
        run = subprocess.run(
            [sys.executable, "-c", code, "-m", "hello"], cwd=tmp_path, capture_output=True, text=True
        )
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
