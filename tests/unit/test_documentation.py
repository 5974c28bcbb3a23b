"""The documents are correct about files, commands, parameters, settings, tables and tests."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from components.container_images import VERSION, ContainerImages
from components.lake.tables import TABLES, Table
from components.settings import ENVIRONMENT_PREFIX, Settings
from pipelines.cli import app
from pipelines.parameters import convert_parameters, parse_parameters
from tests.support.documents import CHANGELOG, DOCUMENTS, README, Block, anchors, blocks, prose
from tests.support.paths import REPOSITORY

MAXIMUM_WORDS_OF_README = 1500
LANGUAGES = {"", "sh", "sql", "yaml"}

_FOLDERS = sorted(path.name for path in REPOSITORY.iterdir() if path.is_dir() and not path.name.startswith("."))
# Of two characters or more: `images/s` is a unit.
_FILE = re.compile(rf"(?<![\w/.:{{}}-])(?:{'|'.join(_FOLDERS)})/[\w./*<>-]+[\w*/>]")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = "image-pipelines"


def every_block() -> list[Block]:
    return [block for document in DOCUMENTS for block in blocks(document)]


def named(document: Path) -> str:
    return document.relative_to(REPOSITORY).as_posix()


def test_the_readme_has_1500_words_at_most() -> None:
    """As `wc -w` counts them: tables, code and addresses count too."""
    assert len(README.read_text().split()) <= MAXIMUM_WORDS_OF_README


@pytest.mark.parametrize("document", [*DOCUMENTS, CHANGELOG], ids=named)
def test_each_link_has_an_existing_target(document: Path) -> None:
    broken = []
    for target in _LINK.findall(prose(document)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)

    assert not broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_each_file_that_a_document_names_exists(document: Path) -> None:
    names = {re.sub(r"<\w+>", "*", name) for name in _FILE.findall(document.read_text())}

    assert not [name for name in sorted(names) if not any(REPOSITORY.glob(name.rstrip("/")))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_each_variable_that_a_document_names_is_read(document: Path) -> None:
    fields = [*Settings.model_fields, *ContainerImages.model_fields]
    sources = [REPOSITORY / "Makefile", *(path for name in _FOLDERS for path in (REPOSITORY / name).rglob("*.py"))]
    read = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in fields}
    read |= {name for path in sources for name in re.findall(rf"{ENVIRONMENT_PREFIX}\w+", path.read_text())}

    assert set(re.findall(rf"{ENVIRONMENT_PREFIX}\w+", document.read_text())) <= read


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_each_test_that_a_document_names_exists(document: Path) -> None:
    tests = {
        name
        for file in (REPOSITORY / "tests").glob("*/test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }
    assert set(re.findall(r"`(test_\w+)`", document.read_text())) <= tests


def test_each_case_of_the_table_of_images_names_its_test() -> None:
    table = (REPOSITORY / "docs" / "images.md").read_text().partition("| Case |")[2].partition("\n\n")[0]
    rows = table.splitlines()[2:]

    assert rows
    assert all(re.search(r"`test_\w+`", row.rsplit("|", 2)[1]) for row in rows), rows


def test_each_block_has_a_language_whose_examples_are_checked() -> None:
    assert {block.language for block in every_block()} <= LANGUAGES
    diagrams = [block for block in every_block() if not block.language]

    assert not [str(block) for block in diagrams if re.search(r"^\s*(image-pipelines|kubectl|make) ", block.text, re.M)]


def commands_of(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield document and line of each command with a name, and its arguments."""
    for block in every_block():
        if block.language == "sh":
            for words in block.commands():
                if words[0] == name:
                    yield str(block), words[1:]


def test_each_command_in_a_block_parses() -> None:
    found = list(commands_of(_COMMAND))

    assert found
    for where, arguments in found:
        parse(where, typer.main.get_command(app), arguments)


def parse(where: str, command: Any, arguments: list[str]) -> None:
    """Parse a command line as the program does, without running it.

    Raises:
        Exception: An option, an argument or a pipeline parameter is unknown or wrong.
    """
    with command.make_context(where, list(arguments)) as context:
        if isinstance(command, TyperGroup):
            _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            parse(where, inner, rest)
        elif pairs := context.params.get("param"):
            pairs = [re.sub(r"\$\w+", "/any", pair) for pair in pairs]
            parse_parameters(context.params["pipeline"].value, pairs)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_each_command_in_a_sentence_exists_with_its_options(document: Path) -> None:
    for text in re.findall(rf"`{_COMMAND} ([^`]+)`", prose(document)):
        command: Any = typer.main.get_command(app)
        words = text.split()
        while isinstance(command, TyperGroup) and words:
            command = command.commands[words.pop(0)]
        options = {"--help", *(option for each in command.params for option in (*each.opts, *each.secondary_opts))}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, text


def test_each_target_of_the_makefile_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named_targets = {arguments[0] for _, arguments in commands_of("make")}
    for document in DOCUMENTS:
        named_targets |= set(re.findall(r"`make ([a-z-]+)`", prose(document)))

    assert named_targets
    assert named_targets <= targets


def test_each_example_of_recurring_parameters_is_valid() -> None:
    examples = [yaml.safe_load(block.text)["parameters"] for block in every_block() if block.language == "yaml"]

    assert examples
    for parameters in examples:
        convert_parameters("training", parameters)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_documented_columns_are_those_of_the_table(table: Table) -> None:
    text = (REPOSITORY / "docs" / "lake.md").read_text()
    section = text.partition(f"\n### {table.name}\n")[2].partition("\n#")[0]
    columns = re.findall(r"^\| `(\w+)` \| `?([\w<>]+)`? \|", section, re.MULTILINE)
    key = re.search(r"Key: (.+)\.$", section, re.MULTILINE)

    assert columns == [(name, kind.lower()) for name, kind, *_ in map(str.split, table.columns.split(","))]
    assert key is not None
    assert tuple(re.findall(r"`(\w+)`", key[1])) == table.key


def test_the_floors_in_the_picture_are_those_of_the_linter() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    picture = next(block.text for block in blocks(REPOSITORY / "CONTRIBUTING.md"))
    _, steps, rooms = picture.split("─\n")
    drawn = [set(re.findall(r"\w+", steps.partition("   ")[0]))]
    drawn += [set(re.findall(r"\w+", line.partition("   ")[0])) for line in rooms.splitlines()]

    assert drawn == [set(re.findall(r"\w+", layer)) for layer in layers]


def test_package_images_and_changelog_have_one_version() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    newest = re.search(r"^## (\S+) \(", CHANGELOG.read_text(), re.MULTILINE)

    assert newest is not None
    assert project["version"] == VERSION == newest[1]
