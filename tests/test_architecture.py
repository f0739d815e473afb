"""Who imports whom: docs/architecture.md, read from the sources."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"fusequote_hdl": "hdl", "fusequote_sim": "sim", "fusequote_boards": "boards", "fusequote": "host"}

#: Rooms of ``fusequote`` -> rooms they may use. A room may always use itself.
BASE = {"errors"}
FLOORS = {
    "errors": set(),
    "reasons": set(),
    "arch": BASE,
    "epid": BASE | {"verdict", "cli"},       # cli: its own commands are one of the CLI's entry points
    "home": BASE,
    "verdict": BASE | {"reasons"},
    "chip": BASE | {"arch"},
    "enclave": BASE | {"arch", "chip", "reasons"},
    "inspect": BASE | {"arch", "chip", "enclave"},
    "steps": BASE | {"chip", "verdict"},
    "platform": BASE | {"arch", "chip", "enclave", "epid", "home", "verdict"},
    "maker": BASE | {"chip", "home", "platform", "verdict"},
    "services": BASE | {"arch", "epid", "home", "maker", "platform", "verdict"},
    "relying": BASE | {"arch", "verdict"},
    "selftest": BASE | {"arch", "chip", "enclave", "services"},
    "listening": BASE,
    "exchange": BASE | {"arch", "listening", "relying", "verdict"},
    "ratls": BASE | {"arch", "listening", "relying", "verdict"},
    # The pytest plugin, on top of the chain; nothing stands on it, for it holds what makes keys predictable.
    "testing": BASE | {"arch", "chain", "chip", "epid", "home", "ladder", "platform", "reasons", "relying", "services",
                       "verdict"},
}
TOP = {"chain", "api", "story", "ladder", "cli"}
#: What the other packages may use of the host.
FROM_SIM = {"errors", "home", "chip"}
#: cli, verdict: its benches are entry points; chip: serial lines; home: where builds are.
FROM_BOARDS = {"errors", "cli", "verdict", "chip", "home"}


def imports(path, package_parts):
    """Absolute names of everything that a source file imports from our packages."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = list(package_parts[: len(package_parts) - (node.level - 1)])
            names = [".".join([*base, node.module])] if node.module else [
                ".".join([*base, alias.name]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" if node.module == "fusequote" else node.module
                     for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


def sources():
    for package, folder in PACKAGES.items():
        for path in sorted((ROOT / folder / package).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield package, path, parts[:-1], parts


def room(name):
    """``fusequote.x.y`` -> ``x``; a name of the package itself is no room."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and not parts[1].startswith("_") else None


def test_every_arrow_points_down():
    wrong = []
    for package, path, folder, parts in sources():
        for name in imports(path, folder):
            target = name.split(".")[0]
            if target == package != "fusequote":
                continue
            here = parts[1] if len(parts) > 1 else None
            there = room(name)
            if package == "fusequote_hdl":
                allowed = False
            elif package == "fusequote":
                known = there is None or (ROOT / "host/fusequote" / there).is_dir() or (
                    ROOT / "host/fusequote" / f"{there}.py").is_file()
                allowed = target == "fusequote" and (
                    not known or there is None or there == here or here in TOP or there in FLOORS.get(here, set()))
            else:
                used = FROM_SIM if package == "fusequote_sim" else FROM_BOARDS
                # The post-route simulation is made by the simulation's compiler, and is opened as that is.
                allowed = target == "fusequote_hdl" or (target == "fusequote" and there in used) or (
                    target == "fusequote_sim" and "postroute" in parts)
            if not allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_every_room_is_on_the_plan():
    rooms = {path.stem for path in (ROOT / "host/fusequote").iterdir()
             if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == set(FLOORS) | TOP


def test_the_model_does_not_stand_on_the_tables_it_judges():
    for path in (ROOT / "host/fusequote/chip/model").glob("*.py"):
        for name in imports(path, ("fusequote", "chip", "model")):
            assert room(name) != "arch", f"{path.name} imports {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_reads_outside_the_project(package):
    """No path of a machine and no folder beside the project in the sources."""
    for path in (ROOT / PACKAGES[package] / package).rglob("*.py"):
        text = path.read_text()
        assert "/".join(("..", "shared")) not in text and "/".join(("", "work", "")) not in text, path
