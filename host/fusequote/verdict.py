"""What every party answers: verdicts, reasons, errors and step events, in one versioned schema.

The list of reason codes is closed (:mod:`fusequote.reasons`): a program may switch on it.
``schema/verdict-1.json`` is the JSON Schema (2020-12) of every document that ``to_json`` makes; it is written
from the definitions here (``python -m fusequote.verdict > host/fusequote/schema/verdict-1.json``).

Every document says ``"emulated": true``, and every verdict ``"hardware_backed": false``: nothing that comes
out of this project is evidence about real hardware.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fusequote.errors import ExitCode, FusequoteError, Refused
from fusequote.reasons import Reason, Step

__all__ = [
    "SCHEMA",
    "ErrorDocument",
    "Party",
    "Phase",
    "Reason",
    "ReasonGiven",
    "ResultDocument",
    "Step",
    "StepEvent",
    "Verdict",
    "load_schema",
    "refuse",
]

#: Name and version of the schema; a change that a reader could notice gets another number.
SCHEMA = "fusequote/verdict/1"


class Party(StrEnum):
    """Who speaks in a step event."""

    MAKER = "maker"
    CHIP = "chip"
    LOADER = "loader"
    LAUNCH = "launch-enclave"
    APPLICATION = "application-enclave"
    QUOTING = "quoting-enclave"
    PROVISIONING = "provisioning-enclave"
    PROVISIONING_SERVER = "provisioning-server"
    ATTESTATION_SERVICE = "attestation-service"
    RELYING_PARTY = "relying-party"


class Phase(StrEnum):
    """Where in its step an event stands."""

    STARTED = "started"
    EXCHANGE = "exchange"
    FINISHED = "finished"
    REFUSED = "refused"


@dataclass(frozen=True)
class ReasonGiven:
    """One reason of a verdict, with what was seen. ``detail`` never holds a secret."""

    code: Reason
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code.value,
            "step": self.code.step.value,
            "meaning": self.code.meaning,
            "detail": self.detail,
        }


@dataclass(frozen=True)
class Verdict:
    """Yes or no, and why. ``enclave`` holds identity fields as hex text and numbers, or None when none is
    known.
    """

    accepted: bool
    reasons: tuple[ReasonGiven, ...]
    enclave: Mapping[str, str | int | bool] | None = None
    quote_status: str | None = None
    advisory_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.reasons:
            raise ValueError("a verdict needs at least one reason")
        if self.accepted != all(given.code is Reason.ACCEPTED for given in self.reasons):
            raise ValueError("a verdict is accepted when, and only when, its one reason says so")

    @property
    def codes(self) -> tuple[Reason, ...]:
        """The reason codes, in the order in which they were found."""
        return tuple(given.code for given in self.reasons)

    @property
    def step(self) -> Step:
        """The step that decided."""
        return self.reasons[0].code.step

    @classmethod
    def refused(cls, error: Refused) -> Verdict:
        """The verdict that a refusal amounts to."""
        return cls(False, (ReasonGiven(Reason(error.reason), error.detail),))

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "type": "verdict",
            "emulated": True,
            "hardware_backed": False,
            "accepted": self.accepted,
            "step": self.step.value,
            "reasons": [given.to_json() for given in self.reasons],
            "enclave": dict(self.enclave) if self.enclave is not None else None,
            "quote_status": self.quote_status,
            "advisory_ids": list(self.advisory_ids),
        }


@dataclass(frozen=True)
class StepEvent:
    """Something that happened in a step: who sent what to whom, how large, and what the chip spent on it.

    ``sent`` and ``received`` are bytes (None where nothing crosses), ``chip_cycles`` clocks of the chip (None
    where it is not asked, 0 where it does not measure, as the model does not), ``chip_commands`` the number of
    commands. ``facts`` are public values worth showing.
    """

    step: Step
    phase: Phase
    action: str
    source: Party | None = None
    target: Party | None = None
    sent: int | None = None
    received: int | None = None
    chip_cycles: int | None = None
    chip_commands: int | None = None
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["facts"] = dict(self.facts)
        return {"schema": SCHEMA, "type": "event", "emulated": True, **fields}


@dataclass(frozen=True)
class ErrorDocument:
    """A failure that is no verdict: bad input, a missing tool, a silent chip; or a refusal, with its
    ``reason``.
    """

    kind: str
    message: str
    exit_code: int
    hint: str | None = None
    reason: Reason | None = None

    @classmethod
    def of(cls, error: FusequoteError) -> ErrorDocument:
        """The document of a deliberate error. A refusal with a code outside the closed list is a
        :class:`ValueError`.
        """
        reason = Reason(error.reason) if isinstance(error, Refused) else None
        return cls(error.kind, str(error), int(error.exit_code), error.hint, reason)

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "type": "error", "emulated": True, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class ResultDocument:
    """What a command found: its facts, and the verdict and events where it has them. ``notes`` are for
    people.
    """

    command: str
    facts: Mapping[str, str | int | bool]
    verdict: Verdict | None = None
    events: tuple[StepEvent, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "type": "result",
            "emulated": True,
            "hardware_backed": False,
            "command": self.command,
            "facts": dict(self.facts),
            "verdict": None if self.verdict is None else self.verdict.to_json(),
            "events": [event.to_json() for event in self.events],
            "notes": list(self.notes),
        }


def refuse(reason: Reason, detail: str = "", *, hint: str | None = None) -> Refused:
    """The exception by which a party says no: its message is the reason's meaning and ``detail``."""
    message = f"{reason.meaning} ({detail})" if detail else reason.meaning
    return Refused(message, reason=reason.value, hint=hint, detail=detail)


def build_schema() -> dict[str, Any]:
    """The JSON Schema of every document, from the definitions above."""

    def document(kind: str, properties: dict[str, Any]) -> dict[str, Any]:
        common = {"schema": {"const": SCHEMA}, "type": {"const": kind}, "emulated": {"const": True}}
        properties = {**common, **properties}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    text, maybe_text = {"type": "string"}, {"type": ["string", "null"]}
    count = {"type": ["integer", "null"], "minimum": 0}
    facts = {"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}}
    steps, parties = [s.value for s in Step], [p.value for p in Party]
    given = {"code": {"$ref": "#/$defs/reason"}, "step": {"enum": steps}, "meaning": text, "detail": text}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{SCHEMA}: verdicts, step events and errors of fusequote (emulated)",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in ("verdict", "event", "error", "result")],
        "$defs": {
            "reason": {"oneOf": [{"const": r.value, "title": r.step.value, "description": r.meaning} for r in Reason]},
            "verdict": document(
                "verdict",
                {
                    "hardware_backed": {"const": False},
                    "accepted": {"type": "boolean"},
                    "step": {"enum": steps},
                    "reasons": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "properties": given,
                            "required": list(given),
                            "additionalProperties": False,
                        },
                    },
                    "enclave": {**facts, "type": ["object", "null"]},
                    "quote_status": maybe_text,
                    "advisory_ids": {"type": "array", "items": text},
                },
            ),
            "event": document(
                "event",
                {
                    "step": {"enum": steps},
                    "phase": {"enum": [p.value for p in Phase]},
                    "action": text,
                    "source": {"enum": [*parties, None]},
                    "target": {"enum": [*parties, None]},
                    "sent": count,
                    "received": count,
                    "chip_cycles": count,
                    "chip_commands": count,
                    "facts": facts,
                },
            ),
            "result": document(
                "result",
                {
                    "hardware_backed": {"const": False},
                    "command": text,
                    "facts": facts,
                    "verdict": {"anyOf": [{"$ref": "#/$defs/verdict"}, {"type": "null"}]},
                    "events": {"type": "array", "items": {"$ref": "#/$defs/event"}},
                    "notes": {"type": "array", "items": text},
                },
            ),
            "error": document(
                "error",
                {
                    "kind": text,
                    "message": text,
                    "exit_code": {"enum": [int(code) for code in ExitCode if code is not ExitCode.OK]},
                    "hint": maybe_text,
                    "reason": {"anyOf": [{"$ref": "#/$defs/reason"}, {"type": "null"}]},
                },
            ),
        },
    }


def load_schema() -> dict[str, Any]:
    """The schema as shipped with the package."""
    return json.loads(importlib.resources.files("fusequote").joinpath("schema/verdict-1.json").read_text("utf-8"))


if __name__ == "__main__":
    print(json.dumps(build_schema(), indent=2))
