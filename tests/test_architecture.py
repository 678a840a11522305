"""The picture of the rooms, enforced on the syntax trees: who may import whom, and how large things may grow."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[1]
CODE = HOME / "compliance"
PURE_FACTS = ("law.facts", "law.codec", "law.identifiers")
STORING = ("errors", "database", "gate", "law", "proof", "audit.entry", "audit.projection", "deployment")
BELOW_PAGES = ("errors", "database", "gate", "law", "proof", "registry", "deployment", "intake", *STORING)
BELOW_PAGES += ("audit", "access", "casework", "coverage", "reports", "work", "delivery", "batches")


@dataclass(frozen=True)
class Room:
    """What a room may import: other rooms or modules of ours, and libraries. None = any library."""

    ours: tuple[str, ...]
    libraries: tuple[str, ...] | None = ()


ROOMS = {
    "errors": Room(()),
    "law": Room(("errors",)),
    "proof": Room(("errors",), ("cryptography",)),
    "database": Room(("errors",), ("sqlalchemy", "flask_sqlalchemy")),
    "registry": Room(("errors", "database", *PURE_FACTS), None),
    "gate": Room(("errors", "law", "registry.port"), ("ulid",)),
    "intake": Room(("errors", "law", "gate"), ("ulid", "marshmallow")),
    "audit": Room(STORING, None),
    "casework": Room((*STORING, "work", "audit.checks", "delivery.outbox"), None),
    "coverage": Room(STORING, None),
    "access": Room(STORING, None),
    "reports": Room(STORING, None),
    "work": Room(BELOW_PAGES, None),
    "delivery": Room((*STORING, "audit", "access", "work", "registry.reach"), None),
    "batches": Room((*STORING, "audit", "intake", "work", "delivery", "registry"), None),
    "telemetry": Room(BELOW_PAGES, None),
    "api": Room(BELOW_PAGES, None),
    "web": Room(BELOW_PAGES, None),
}
ANYTHING = ("", "cli", "demo", "deployment", "migrations", "projections")  # composition, commands, migrations
MAY_READ_SETTINGS = ("", "audit.log", "audit.turn", "cli", "demo", "deployment", "registry.sources")
MAY_CALL_OUT = ("registry", "demo", "audit.witnesses", "proof.witness")
CALLS_OUT = (
    "requests",
    "urllib3",
    "urllib.request",
    "http.client",
    "http.server",
    "socket",
    "ssl",
    "smtplib",
    "ftplib",
)


@dataclass(frozen=True)
class Module:
    """One file: its name below compliance (`law.decide`), its room, and all that it imports."""

    path: Path
    name: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    def imports(self) -> Iterator[str]:
        """Absolute names; of `from compliance.law import names` the module itself."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: relative import"
                yield from (_resolved(node.module or "", alias.name) for alias in node.names)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node


def _resolved(module: str, name: str) -> str:
    below = HOME.joinpath(*module.split("."), name)
    return f"{module}.{name}" if below.is_dir() or below.with_suffix(".py").is_file() else module


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for path in sorted(CODE.rglob("*.py")):
        parts = path.relative_to(CODE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(path, name, ast.parse(path.read_text(encoding="utf-8"))))
    return tuple(found)


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name or "compliance")
def test_a_room_imports_only_what_the_table_allows(module: Module) -> None:
    if module.room in ANYTHING:
        return
    room, wrong = ROOMS[module.room], []
    for name in module.imports():
        top, _, rest = name.partition(".")
        if top == "compliance":
            allowed = within(rest, (module.room, *room.ours))
        elif top == "config":
            allowed = within(module.name, MAY_READ_SETTINGS)
        else:
            allowed = top in sys.stdlib_module_names or room.libraries is None or top in room.libraries
        wrong += [] if allowed else [name]
    assert wrong == []


def test_every_room_is_in_the_table() -> None:
    assert {module.room for module in modules()} <= {*ROOMS, *ANYTHING}


def test_only_the_registry_calls_out() -> None:
    """Beside it: the demo tries its own ports, and heads of the log go to witnesses (one of which we ship)."""
    outside = [module for module in modules() if not within(module.name, MAY_CALL_OUT)]
    assert [(module.name, name) for module in outside for name in module.imports() if within(name, CALLS_OUT)] == []


def test_only_settings_read_the_environment() -> None:
    readers = [
        module.name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert [name for name in readers if name not in ("demo",)] == []


def test_only_the_turn_knows_which_database_it_is() -> None:
    readers = [
        module.name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "name"
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "dialect"
    ]
    assert {name for name in readers if not within(name, ("migrations",))} <= {"audit.turn"}


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name or "compliance")
def test_a_file_says_what_it_is_for_and_stays_readable(module: Module) -> None:
    text = module.path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(module.tree), "the first line says what the file is for"
    assert len(text.splitlines()) <= 300
    long = [function.name for function in module.functions() if (function.end_lineno or 0) - function.lineno + 1 > 60]
    assert long == []


def test_most_files_and_functions_are_small() -> None:
    files = [len(module.path.read_text(encoding="utf-8").splitlines()) for module in modules()]
    functions = [(f.end_lineno or 0) - f.lineno + 1 for module in modules() for f in module.functions()]
    assert sum(size < 200 for size in files) > 0.75 * len(files)
    assert sum(size < 20 for size in functions) > 0.75 * len(functions)


def test_no_folder_is_called_after_nothing() -> None:
    names = {part for module in modules() for part in module.name.split(".")}
    assert names & {"utils", "helpers", "common", "core", "services", "manager", "misc"} == set()


def test_nothing_foreseen_is_swallowed_without_a_word() -> None:
    """`except Exception: pass` hides what nobody foresaw."""
    silent = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
        and all(isinstance(line, (ast.Pass, ast.Continue)) for line in node.body)
    ]
    assert silent == []


# The limit is 9,000 lines (`make lint` prints both). The program is above it, a debt that README names: lower this.
SO_FAR = 12_415


def test_the_program_only_shrinks_until_it_is_below_its_limit() -> None:
    lines = sum(
        len(module.path.read_text(encoding="utf-8").splitlines())
        for module in modules()
        if not within(module.name, ("migrations",))
    )
    assert lines <= SO_FAR
