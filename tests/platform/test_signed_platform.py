"""The architectural enclaves can only be entered by the holder of their entry key: what the wire's owner gets."""

from __future__ import annotations

import pytest
from chain_world import DATA, SPID, Ready
from fusequote.arch import KeyName, KeyRequest
from fusequote.chip import BlockError, Chip, LinkError, Op, Status
from fusequote.enclave.entrykey import EntryKey, SignedSession
from fusequote.platform.images import quoting_image
from fusequote.platform.signers import Signers

SEAL = KeyRequest(keyname=KeyName.SEAL, keypolicy=2).to_bytes()
PROOF, LENGTH, GP = Status.BLOCK_ENTRY_PROOF, Status.LINK_BAD_LENGTH, Status.FAULT_GP


def test_nobody_else_enters_the_quoting_enclave(ready: Ready):
    launched = ready.platform.quoting_enclave.enclave.launched
    assert ready.platform.chip.identify().signed_entry
    with pytest.raises(LinkError, match="LINK_BAD_LENGTH"):
        ready.platform.chip.eenter(launched.handle, launched.tcs[0])
    stranger = SignedSession(launched, EntryKey.generate(), launched.tcs[0])
    with pytest.raises(BlockError, match="BLOCK_ENTRY_PROOF"):
        stranger.egetkey(SEAL)
    assert ready.platform.quote_report(ready.reported, spid=SPID).quote  # and that cost the holder nothing


def test_what_the_owner_of_the_wire_gets_with_tickets_and_proofs_that_he_saw(ready: Ready, monkeypatch):
    """While quotes are made, everything seen so far is tried at every moment: nothing is answered, nothing breaks."""
    chip, run, eenter = ready.platform.chip, Chip.run, Chip.eenter
    qe = ready.platform.quoting_enclave.enclave.launched
    tickets: list[bytes] = []
    proofs: list[bytes] = []
    tried = []

    def attempt(op, body):
        tried.append(chip.raw(op, body)[0])

    def entering(self, handle, tcs, proof=b""):
        entry = eenter(self, handle, tcs, proof)
        if proof:
            tickets.append(entry.ticket.to_bytes())
            proofs.append(proof)
            attempt(Op.EENTER, handle.to_bytes() + tcs.to_bytes(8, "little") + proof)
        return entry

    def running(self, command):
        for ticket in tickets[-3:]:
            for following in (b"", bytes(32)):
                attempt(Op.EGETKEY, ticket + SEAL + following)
                attempt(Op.EEXIT, ticket + following)
        answer = run(self, command)
        attempt(command.op, command.body)  # what was just done, once more
        return answer

    monkeypatch.setattr(Chip, "eenter", entering)
    monkeypatch.setattr(Chip, "run", running)
    good = ready.platform.quote_report(ready.reported, spid=SPID)
    monkeypatch.undo()
    assert good.quote and set(tried) == {PROOF, LENGTH, GP}
    for proof in proofs:  # later: with a challenge of somebody else's open
        chip.echallenge(qe.handle)
        status, _ = chip.raw(Op.EENTER, qe.handle.to_bytes() + qe.tcs[0].to_bytes(8, "little") + proof)
        assert status == PROOF


def test_a_twin_of_the_quoting_enclave_is_entered_by_its_holder_only(ready: Ready):
    """Anybody may launch the image that he saw go by; it is the same MRENCLAVE, and as closed to him."""
    platform = ready.platform
    twin = platform._launch(quoting_image(platform.services.constants, Signers(platform.home)))
    own = platform.quoting_enclave.enclave
    assert twin.identity.mrenclave == own.identity.mrenclave
    key = Signers(platform.home).entry
    nonce = platform.chip.echallenge(own.launched.handle)
    platform.chip.echallenge(twin.launched.handle)
    tcs = own.launched.tcs[0]
    proof = key.proof(Op.EENTER, own.launched.handle, tcs, nonce, own.identity.mrenclave, bytes(32))
    with pytest.raises(BlockError, match="BLOCK_ENTRY_PROOF"):  # the EID is in what was signed
        platform.chip.eenter(twin.launched.handle, tcs, proof)
    with twin.entered() as inside:
        assert inside.report(own.target_info, DATA.ljust(64, b"\0")).body.mrenclave == own.identity.mrenclave
    platform.remove(twin)
