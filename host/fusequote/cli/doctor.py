"""Check this machine: Python, extras, compiler, home folder, commands, chips; and say how to mend each thing."""

from __future__ import annotations

from fusequote.cli.settings import current


def command() -> int:
    """Check what fusequote needs on this machine, and say for each thing that is missing how to mend it.

    Exit code 0 when `fusequote attest` can run on some chip, 3 when something is broken.
    """
    from fusequote.cli.checks import Health, run_checks
    from fusequote.cli.output import print_document, table
    from fusequote.errors import ExitCode
    from fusequote.verdict import ResultDocument

    settings = current()
    checks = list(run_checks(settings))
    broken = [check for check in checks if check.health is Health.BROKEN]
    if settings.json:
        facts: dict[str, str | int | bool] = {"healthy": not broken}
        for check in checks:
            facts[f"{check.name}.health"] = check.health.value
            facts[f"{check.name}.detail"] = check.detail
            if check.hint:
                facts[f"{check.name}.hint"] = check.hint
        print_document(ResultDocument("doctor", facts).to_json())
    else:
        rows = [(check.health.value, check.name, check.detail) for check in checks]
        table("fusequote doctor", ("", "what", "found"), rows)
        for check in checks:
            if check.hint and check.health is not Health.GOOD:
                print(f"{check.name}: {check.hint}")
    return ExitCode.ENVIRONMENT if broken else ExitCode.OK
