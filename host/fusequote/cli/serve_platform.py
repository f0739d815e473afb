"""`fusequote serve platform`: the daemon that owns the chip."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from fusequote.cli.attesting import Provisioning, trusted_servers
from fusequote.cli.settings import current


def command(
    socket: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The Unix socket. Default: daemon.sock of the home folder.")
    ] = None,
    chip: Annotated[
        str | None, typer.Option("--chip", metavar="URL", help="The chip to own. Default: the home folder's, sim://.")
    ] = None,
    provisioning: Provisioning = None,
    allow_user: Annotated[
        list[int] | None, typer.Option(metavar="UID", help="Serve this user, too; repeatable.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=1024, help="The most clients at once.")] = 64,
    lease: Annotated[
        float, typer.Option(min=0, help="Seconds after which a slot can be taken from its holder, if none is free.")
    ] = 600.0,
) -> int:
    """Own the chip, give each client its own enclaves on it, and quote for all of them, until SIGTERM.

    When it accepts connections it prints one line of JSON: `ready`, `socket`, `pid`. Its log goes to stderr. The home
    folder's simulated chip is manufactured first when it is blank.
    """
    from fusequote.api import Platform
    from fusequote.platform.daemon import Daemon, Limits
    from fusequote.platform.daemon_calls import Calls
    from fusequote.platform.daemon_claim import claim
    from fusequote.platform.daemon_slots import Broker
    from fusequote.platform.daemon_turns import SharedChip, Turns

    settings = current()
    if chip is not None:
        settings.chip = chip
    home, url = settings.home, settings.chip_url
    path = (socket or home.platform / "daemon.sock").absolute()
    tls = None if provisioning is None else trusted_servers(home)
    with (
        Platform(url, home=home, cycles=False, provisioning_url=provisioning, tls=tls) as platform,
        claim(home, url, path),
    ):
        if settings.is_home_chip:
            platform.ensure_manufactured()
        else:
            platform.chip.reset()  # a daemon that was killed may have left enclaves there
        device, turns = platform.chip, Turns()
        platform.chip = SharedChip(device, turns)
        target = platform.quoting_enclave.target_info
        broker = Broker(device, turns, own=1, lease=lease)
        calls = Calls(platform, platform.services.constants, make_room=broker.make_room)
        daemon = Daemon(
            path,
            device,
            broker,
            calls,
            limits=Limits(connections=connections, lease=lease),
            users=frozenset(allow_user or ()),
            tell=_log,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: daemon.stop())
        ready = {
            "ready": "platform",
            "socket": str(path),
            "device_id": device.identity.device_id.hex(),
            "quoting_enclave": target.mrenclave.hex(),
            "pid": os.getpid(),
            "emulated": True,
        }
        print(json.dumps(ready), flush=True)
        daemon.serve()
    return 0


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
