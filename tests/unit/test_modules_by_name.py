"""Modules that strings name exist. Type checkers do not find such names when a module moves."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import RANK_PROGRAMS, REPOSITORY

_NAME = r"(?P<name>(?:components|pipelines|benchmarks|tests)(?:\.\w+)*)"
# `python -m a.b`, and the same as a list: ["-m", "a.b"], [python, -m, a.b].
_STARTED = re.compile(rf"(?<![\w-])-m[\"',]*\s+[\"']?{_NAME}(?![\w./]|\*)")
# A dotted name in quotes, alone or with an attribute, e.g. an entry point or the target of a monkeypatch.
_QUOTED = re.compile(rf"[\"']{_NAME}(?::(?P<attribute>\w+))?[\"']")
# A rank program that a test finds on PYTHONPATH.
_RANK_PROGRAM = re.compile(r"(?:\bworker=|\bWORKER = |LocalLauncher\(\w+, )\"(?P<name>\w+)\"")
_SUFFIXES = (".py", ".yaml", ".toml", ".sh", ".md", "Dockerfile", "Makefile", ".ci/run")
_SELF = Path(__file__).name


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    paths = [REPOSITORY / name for name in listed.stdout.split("\0") if name.endswith(_SUFFIXES)]
    return [path for path in paths if path.exists() and path.name != _SELF]


def module_file(name: str) -> Path | None:
    """Return the file or the package that a dotted name stands for, or None."""
    path = REPOSITORY.joinpath(*name.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py", path) if each.exists()), None)


def binds(file: Path, attribute: str) -> bool:
    """Return whether a module binds a name at its top level."""
    if not file.is_file():
        return False
    bound: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        else:
            bound.update(each.id for each in ast.walk(node) if isinstance(each, ast.Name))
    return attribute in bound


def exists(name: str, attribute: str | None) -> bool:
    if (file := module_file(name)) is not None:
        return attribute is None or binds(file, attribute)
    parent, _, last = name.rpartition(".")
    file = module_file(parent)
    return attribute is None and file is not None and binds(file, last)


def named_in(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each module that a text names, and whether it exists."""
    for match in _STARTED.finditer(text):
        yield match["name"], module_file(match["name"]) is not None
    for match in _QUOTED.finditer(text):
        if "." in match["name"]:
            yield match[0].strip("\"'"), exists(match["name"], match["attribute"])


def test_every_module_that_a_string_names_exists() -> None:
    named = {(path, name): found for path in tracked_files() for name, found in named_in(path.read_text())}

    assert [f"{path.relative_to(REPOSITORY)}: {name}" for (path, name), found in named.items() if not found] == []
    assert len({name for _, name in named}) > 15


def test_every_rank_program_exists() -> None:
    tests = [path for path in tracked_files() if path.is_relative_to(REPOSITORY / "tests")]
    named = {match["name"] for path in tests for match in _RANK_PROGRAM.finditer(path.read_text())}

    assert [name for name in named if not (RANK_PROGRAMS / f"{name}.py").exists()] == []
    assert named


@pytest.mark.parametrize(
    "text",
    [
        "python -m components.nowhere score",
        "args: [python, -m, components.nowhere, score]",
        '[sys.executable, "-m", "tests.local.nowhere"]',
        'WORKER = "components.train_classifier.nowhere"',
        'monkeypatch.setattr("components.storage.access._NOWHERE", 1)',
        'image-pipelines = "pipelines.cli:nowhere"',
    ],
)
def test_named_module_that_does_not_exist_is_found(text: str) -> None:
    assert {found for _, found in named_in(text)} == {False}
