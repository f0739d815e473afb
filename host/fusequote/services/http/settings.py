"""What an operator can set, and where: defaults, a TOML file, the environment, options; each wins over those before it.

The file is ``services.toml`` of the home folder, or the one that is named. Its top level is for every service, a table
``[provisioning]`` or ``[attestation]`` for that one. In the environment a setting is ``FUSEQUOTE_SERVE_`` and its name
in capitals; lists are comma-separated there.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from fusequote.errors import UsageError
from fusequote.home import Home

__all__ = ["PREFIX", "ServerSettings", "load_settings"]

PREFIX = "FUSEQUOTE_SERVE_"
#: Variables with the prefix that are no settings.
_CONFIG = PREFIX + "CONFIG"
_FILE_LIMIT = 1 << 20


class ServerSettings(BaseModel):
    """Settings of every server; a service may add its own (``fusequote.services.http``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(0, ge=0, le=65535, description="Port to listen on; 0 takes a free one, the ready line names it.")
    reuse_port: bool = Field(False, description="Let several server processes listen on the same port (SO_REUSEPORT).")
    store: SecretStr | None = Field(None, description="SQLAlchemy URL of the store; default: services.db of the home.")
    tls: bool = Field(False, description="Serve HTTPS.")
    certificate: Path | None = Field(None, description="Certificate chain, PEM. Default: one for localhost, our own.")
    key: Path | None = Field(None, description="Private key of the certificate, PEM, not encrypted.")
    names: list[str] = Field([], description="More names and addresses for the certificate of our own.")
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=0, le=256,
        description="Processes that verify; 0 verifies within the server.",
    )  # fmt: skip
    max_body: int = Field(1 << 20, ge=1024, le=1 << 28, description="Bytes of a request's body at most.")
    max_headers: int = Field(32 << 10, ge=4096, le=1 << 20, description="Bytes of a request's line and headers.")
    request_seconds: float = Field(30, gt=0, description="Time for one request, from its headers to its answer.")
    header_seconds: float = Field(10, gt=0, description="Time for a client to send a request's line and headers.")
    idle_seconds: int = Field(15, ge=1, description="How long a connection may stay open between two requests.")
    shutdown_seconds: int = Field(30, ge=1, description="How long requests may take to end after SIGTERM.")
    requests_at_once: int = Field(64, ge=1, description="Requests that are worked on at the same time.")
    connections: int = Field(1024, ge=1, description="Open connections.")
    rate: float = Field(500, ge=0, description="Requests per second and client address; 0 is without limit.")
    burst: int = Field(1000, ge=1, description="Requests that a client may save up.")
    metrics: Literal["local", "all", "off"] = Field("local", description="Who may read /metrics.")
    trusted_proxies: list[str] = Field([], description="Addresses whose X-Forwarded-For is believed.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")

    @model_validator(mode="after")
    def _both_or_none(self) -> ServerSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both or none")
        return self

    @property
    def store_url(self) -> str | None:
        """The store's URL with its password."""
        return None if self.store is None else self.store.get_secret_value()


S = TypeVar("S", bound=ServerSettings)


def load_settings(
    kind: type[S],
    service: str,
    home: Home,
    *,
    config: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    options: Mapping[str, Any] | None = None,
    services: tuple[str, ...] = ("provisioning", "attestation"),
) -> S:
    """The settings of ``service``. ``options`` that are None count as not given.

    Raises :class:`UsageError` that names the setting, and where it was set, when it is unknown or has a wrong value.
    """
    named = config or (Path(environment[_CONFIG]) if environment.get(_CONFIG) else None)
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}

    def layer(where: str, found: Mapping[str, Any]) -> None:
        for name, value in found.items():
            _check_name(kind, name, where)
            values[name], origin[name] = value, where

    file = named or home.root / "services.toml"
    if named is not None or file.exists():
        document = _read(file)
        tables = {name: document.pop(name, {}) for name in services}
        if not isinstance(tables.get(service, {}), dict):
            raise UsageError(f"{file}: {service} has to be a table, [{service}]")
        # What another service alone knows may stand at its own table only.
        layer(str(file), document)
        layer(f"{file} [{service}]", tables.get(service, {}))
    variables = {name: value for name, value in environment.items() if name.startswith(PREFIX) and name != _CONFIG}
    layer("environment", {name[len(PREFIX) :].lower(): value for name, value in variables.items()})
    layer("options", {name: value for name, value in (options or {}).items() if value is not None})
    for name, value in values.items():
        if isinstance(value, str) and kind.model_fields[name].annotation == list[str]:
            values[name] = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return kind(**values)
    except ValidationError as error:
        # Never the value: it may be a password.
        said = []
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            where = f" ({origin[name]})" if name in origin else ""
            said.append(f"{name}{where}: {problem['msg']}" if name else problem["msg"])
        raise UsageError("settings: " + "; ".join(said), hint="docs/services.md lists all settings") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        with open(file, "rb") as opened:
            data = opened.read(_FILE_LIMIT + 1)
        if len(data) > _FILE_LIMIT:
            raise UsageError(f"{file} is larger than {_FILE_LIMIT} bytes")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from error


def _check_name(kind: type[ServerSettings], name: str, where: str) -> None:
    if name not in kind.model_fields:
        near = difflib.get_close_matches(name, kind.model_fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "docs/services.md lists all settings"
        raise UsageError(f"{where}: there is no setting {name!r}", hint=hint)
