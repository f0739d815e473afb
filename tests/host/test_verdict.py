"""The schema of verdicts, events and errors: what is shipped is what the code says, and documents keep to it."""

from __future__ import annotations

import json
import re

import pytest
from fusequote.api import attest
from fusequote.chain import Platform
from fusequote.errors import DeviceError, ExitCode, Refused, UsageError
from fusequote.verdict import (
    ErrorDocument,
    Reason,
    ReasonGiven,
    Step,
    Verdict,
    build_schema,
    load_schema,
    refuse,
)

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def has_type(value, name: str) -> bool:
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def complaints(value, schema: dict, root: dict, at: str = "$") -> list[str]:
    """The part of JSON Schema that ours uses; a keyword that is not known here fails the test."""
    found: list[str] = []
    for keyword, rule in schema.items():
        if keyword in ("$schema", "title", "description", "$defs"):
            continue
        if keyword == "$ref":
            found += complaints(value, root["$defs"][rule.removeprefix("#/$defs/")], root, at)
        elif keyword in ("anyOf", "oneOf"):
            fitting = sum(not complaints(value, option, root, at) for option in rule)
            if fitting == 0 or (keyword == "oneOf" and fitting > 1):
                found.append(f"{at}: fits {fitting} of {keyword}")
        elif keyword == "const":
            if value != rule or type(value) is not type(rule):
                found.append(f"{at}: is not {rule!r}")
        elif keyword == "enum":
            if value not in rule:
                found.append(f"{at}: {value!r} is none of {rule}")
        elif keyword == "type":
            names = [rule] if isinstance(rule, str) else rule
            if not any(has_type(value, name) for name in names):
                found.append(f"{at}: {value!r} is no {rule}")
        elif keyword == "minimum":
            if isinstance(value, int) and value < rule:
                found.append(f"{at}: below {rule}")
        elif keyword == "minItems":
            if len(value) < rule:
                found.append(f"{at}: too few")
        elif keyword == "items":
            if isinstance(value, list):
                for i, item in enumerate(value):
                    found += complaints(item, rule, root, f"{at}[{i}]")
        elif keyword == "required":
            if isinstance(value, dict):
                found += [f"{at}: no {name}" for name in rule if name not in value]
        elif keyword in ("properties", "additionalProperties"):
            if not isinstance(value, dict):
                continue
            known = schema.get("properties", {})
            for name, item in value.items():
                if keyword == "properties" and name in known:
                    found += complaints(item, rule[name], root, f"{at}.{name}")
                elif keyword == "additionalProperties" and name not in known:
                    found += [f"{at}: {name}"] if rule is False else complaints(item, rule, root, f"{at}.{name}")
        else:
            raise AssertionError(f"the test does not know the keyword {keyword}")
    return found


def assert_valid(document: dict) -> None:
    document = json.loads(json.dumps(document))
    schema = load_schema()
    kind = schema["$defs"][document["type"]]
    assert complaints(document, kind, schema) == []
    assert complaints(document, schema, schema) == []


def test_the_shipped_schema_is_this_code_s():
    assert load_schema() == json.loads(json.dumps(build_schema()))


def test_reasons_are_closed_distinct_and_explained():
    values = [reason.value for reason in Reason]
    assert len(set(values)) == len(values)
    for reason in Reason:
        assert re.fullmatch(r"[a-z]+(\.[a-z0-9-]+)?", reason.value)
        assert reason.step in Step and reason.meaning.endswith(".") and "\n" not in reason.meaning
        assert Reason(reason.value) is reason and str(reason) == reason.value


def test_a_verdict_cannot_contradict_itself():
    good, bad = ReasonGiven(Reason.ACCEPTED), ReasonGiven(Reason.DEBUG)
    for accepted, reasons in ((True, (bad,)), (False, (good,)), (True, (good, bad)), (False, ())):
        with pytest.raises(ValueError):
            Verdict(accepted, reasons)


def test_documents_keep_to_the_schema():
    assert_valid(Verdict(True, (ReasonGiven(Reason.ACCEPTED),), {"debug": False}, "OK").to_json())
    assert_valid(Verdict.refused(refuse(Reason.REPORT_MAC, "detail")).to_json())
    for error in (UsageError("no", hint="do"), DeviceError("silent"), refuse(Reason.NO_KEY)):
        assert_valid(ErrorDocument.of(error).to_json())
    # A bug is said in a document too.
    assert_valid(ErrorDocument("internal", "IndexError: list index out of range", int(ExitCode.INTERNAL)).to_json())
    broken = Verdict.refused(refuse(Reason.REPORT_MAC)).to_json() | {"hardware_backed": True}
    with pytest.raises(AssertionError):
        assert_valid(broken)
    with pytest.raises(AssertionError):
        assert_valid(ErrorDocument.of(UsageError("no")).to_json() | {"more": 1})


def test_a_refusal_outside_the_list_is_a_bug():
    with pytest.raises(ValueError):
        ErrorDocument.of(Refused("no", reason="something.else"))


def test_a_whole_run_keeps_to_the_schema(home):
    events = []
    result = attest(home=home, listener=events.append)
    assert result.verdict.accepted and tuple(events) == result.events
    assert_valid(result.to_json())
    assert list(dict.fromkeys(event.step for event in events)) == list(Step)
    text = json.dumps(result.to_json())
    assert '"emulated": true' in text and '"hardware_backed": false' in text
    again = attest(home=home, reprovision=False)  # a chip that is known, a platform that has its key
    assert again.verdict.accepted and again.device_id == result.device_id
    assert Step.PROVISION not in {event.step for event in again.events}


def test_a_run_tells_no_secret(home):
    from fusequote.maker import RecordBook
    from fusequote.platform.epidblob import open_blob

    result = attest(home=home)
    text = json.dumps(result.to_json()) + repr(result)
    rpk = RecordBook(home).load(result.device_id).root_provisioning_key
    with Platform(home=home) as platform:
        content, _ = open_blob(platform.quoting_enclave.enclave, platform.blob_path.read_bytes())
    for secret in (rpk.hex(), f"{content.key.f:064x}", content.key.A.hex(), f"{content.key.x:064x}"):
        assert secret not in text


def test_a_refused_step_is_told_with_its_reason(home, tmp_path):
    from chain_world import flip
    from fusequote.enclave import write_sgxs
    from fusequote.platform.images import signed_sample
    from fusequote.platform.signers import Signers

    image = signed_sample(Signers(home))
    path = tmp_path / "app.sgxs"
    with path.open("wb") as file:
        write_sgxs(image, file)
    path.write_bytes(flip(path.read_bytes(), 8 * 700))
    path.with_suffix(".sig").write_bytes(image.sigstruct.to_bytes())
    result = attest(path, home=home)
    assert result.verdict.codes == (Reason.MEASUREMENT,) and result.quote is None
    last = result.events[-1]
    assert (last.step, last.phase, last.facts["reason"]) == (Step.LAUNCH, "refused", Reason.MEASUREMENT)
    assert_valid(result.to_json())


def test_a_refusal_says_once_what_it_means():
    error = refuse(Reason.QUOTE_FORMAT, "3 bytes")
    assert str(error) == f"{Reason.QUOTE_FORMAT.meaning} (3 bytes)"
    (given,) = Verdict.refused(error).reasons
    assert (given.code, given.detail) == (Reason.QUOTE_FORMAT, "3 bytes")
    (given,) = Verdict.refused(refuse(Reason.REPORT_MAC)).reasons
    assert given.detail == ""
    (given,) = Verdict.refused(Refused("the chip said no", reason=Reason.MEASUREMENT.value)).reasons
    assert given.detail == "the chip said no"
