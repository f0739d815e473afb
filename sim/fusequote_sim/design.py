"""What can be built: the block, and whatever else has its ports."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from fusequote.errors import EnvironmentProblem

__all__ = ["BLOCK", "PROFILES", "Design", "Sources"]


@dataclass(frozen=True)
class Sources:
    """A design's sources as they were at one moment: what is hashed is what is built."""

    component: str
    #: Content by path, relative to the folder that Python would import from.
    files: dict[str, bytes]

    def digest(self) -> str:
        """SHA-256 in hex over the component's name and all names and contents."""
        state = hashlib.sha256(self.component.encode())
        for name, content in sorted(self.files.items()):
            state.update(f"\0{name}\0{len(content)}\0".encode() + content)
        return state.hexdigest()

    def write(self, folder: Path) -> None:
        """Lay the files out in ``folder``, to be imported from there."""
        for name, content in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


@dataclass(frozen=True)
class Design:
    """A component with the ports of ``fusequote_hdl.block.Block``.

    ``component`` is ``MODULE:CLASS``, made without arguments. ``modules`` are the modules and packages that it
    consists of; nothing else may decide how it is elaborated. ``path`` are folders to look for them in, before the
    usual ones.
    """

    component: str
    modules: tuple[str, ...] = ("fusequote_hdl",)
    path: tuple[Path, ...] = ()

    def sources(self) -> Sources:
        """Read all sources. Raises :class:`EnvironmentProblem` when one cannot be found or read."""
        files: dict[str, bytes] = {}
        try:
            for module in self.modules:
                root = self._folder_of(module.partition(".")[0])
                path = root / module.replace(".", "/")
                for parent in path.relative_to(root).parents[:-1]:
                    if (root / parent / "__init__.py").is_file():
                        files[f"{parent}/__init__.py"] = (root / parent / "__init__.py").read_bytes()
                found = path.rglob("*") if path.is_dir() else [path.with_name(f"{path.name}.py")]
                for file in found:
                    if "__pycache__" not in file.parts and not file.is_dir():
                        files[str(file.relative_to(root))] = file.read_bytes()
        except OSError as error:
            raise EnvironmentProblem(f"cannot read {error.filename}: {error.strerror}") from error
        return Sources(self.component, files)

    def _folder_of(self, name: str) -> Path:
        """The folder that the top-level module or package ``name`` lies in."""
        spec = PathFinder.find_spec(name, [str(path) for path in self.path]) or importlib.util.find_spec(name)
        if spec is None or not (spec.origin or spec.submodule_search_locations):
            raise EnvironmentProblem(
                f"the package {name} is not installed", hint="install fusequote again: its parts belong together"
            )
        if spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations))).parent
        return Path(spec.origin).parent


#: The security block itself.
BLOCK = Design("fusequote_hdl.block:Block")
#: By key-derivation profile (docs/chip.md, section 6).
PROFILES = {"kd1": BLOCK, "linux-sgx-sim": Design("fusequote_hdl.simulation_block:SimulationBlock")}
