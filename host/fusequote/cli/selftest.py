"""Check a chip over its link: known answers and negative cases, each by name."""

from __future__ import annotations

from typing import Annotated

import typer

from fusequote.cli.settings import current


def command(
    burn: Annotated[
        bool,
        typer.Option("--burn", help="Burn a blank chip with published keys, test its whole life, and scrap it."),
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="RESET the chip even if enclaves of somebody else live in it.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This check, or this area of them; repeatable.")
    ] = None,
) -> int:
    """Make known answers and negative cases on a chip, simulated or real, and say of each check how it went.

    Nothing is burnt but with --burn, and then only on a blank chip, which is scrapped in the end. Without --chip, that
    one is a simulated one that is gone afterwards. Exit code 0: all is well; 10: a check failed; 4: the chip does not
    answer.
    """
    from fusequote.cli.output import print_document, stderr, stdout
    from fusequote.selftest import Outcome, Result, run
    from fusequote.verdict import ResultDocument

    settings = current()
    url = settings.blank_chip_url if burn else settings.chip_url
    colours = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.SKIPPED: "dim"}

    def show(result: Result) -> None:
        detail = f": {result.detail}" if result.detail else ""
        if not settings.json:
            stdout().print(f"{result.outcome.value:8}{result.name}{detail}", style=colours[result.outcome])

    done = run(url, burn=burn, reset=reset, only=only or (), progress=show)
    counts = {outcome: len(done.of(outcome)) for outcome in Outcome}
    if settings.json:
        facts: dict[str, str | int | bool] = {outcome.value: count for outcome, count in counts.items()}
        facts["answers"] = not done.dead
        for result in done.results:
            facts[f"{result.name}.outcome"] = result.outcome.value
            if result.detail:
                facts[f"{result.name}.detail"] = result.detail
        print_document(ResultDocument("selftest", facts).to_json())
    else:
        stderr().print(", ".join(f"{count} {outcome.value}" for outcome, count in counts.items()))
    return int(done.exit_code)
