"""The files that are made from the code: compiled pipelines and components, and the tables in the READMEs.

Run as a program, this writes the compiled ones into the folder that is its argument.
"""

import ast
import importlib
import inspect
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import docstring_parser
import jinja2
from google.protobuf import json_format
from kfp import compiler
from kfp.dsl.base_component import BaseComponent

REPOSITORY = Path(__file__).parent.parent
COMPILED = REPOSITORY / "pipelines" / "compiled"
COMPONENTS = (
    "ingest_images",
    "build_training_set",
    "train_classifier",
    "evaluate_classifier",
    "register_model",
    "score_images",
    "export_for_labeling",
    "import_labels",
    "notify",
)
PIPELINES = ("training", "scoring", "labeling")

_TYPES = {
    "NUMBER_INTEGER": "int",
    "NUMBER_DOUBLE": "float",
    "BOOLEAN": "bool",
    "STRING": "str",
    "STRUCT": "dict",
    "LIST": "list",
    "TASK_FINAL_STATUS": "status",
    "TASK_CONFIG": "task",
}
_GENERATED = re.compile(r"(?P<start><!-- generated: (?P<name>\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
_DEFAULT = re.compile(r"^(#    \w+: (?:dict|list) \[Default: )(.+)\]$", re.MULTILINE)
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=False,  # noqa: S701 - Markdown
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
)


def generate() -> dict[Path, str]:
    """Return the text of each generated file, by its path."""
    files: dict[Path, str] = {}
    components: dict[str, dict[str, Any]] = {}
    pipelines: dict[str, dict[str, Any]] = {}
    for name, component in _components():
        folder = REPOSITORY / "components" / name
        files[folder / "component.yaml"] = _compile(component)
        components[name] = _interface(component, component.python_func)
        files[folder / "README.md"] = _TEMPLATES.get_template("component.md.j2").render(name=name, **components[name])
    for name, pipeline in _pipelines():
        files[COMPILED / f"{name}.yaml"] = _compile(pipeline)
        pipelines[name] = _interface(pipeline, pipeline.pipeline_func)
    readme = REPOSITORY / "README.md"
    tables = _TEMPLATES.get_template("tables.md.j2").module
    files[readme] = fill(
        readme.read_text(),
        {
            "components": str(tables.components(components)),  # type: ignore[attr-defined]  # Jinja2 makes it of the macro
            "pipelines": str(tables.pipelines(pipelines)),  # type: ignore[attr-defined]  # likewise
        },
    )
    return files


def compiled(folder: Path) -> dict[Path, str]:
    """Return the text of each compiled file, by its path in a folder that is not the repository's."""
    return {
        **{folder / f"{name}.yaml": _compile(pipeline) for name, pipeline in _pipelines()},
        **{folder / "components" / f"{name}.yaml": _compile(component) for name, component in _components()},
    }


def write(files: dict[Path, str]) -> list[Path]:
    """Write the files that differ from what is on disk, and return them."""
    changed = differing(files)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
    return changed


def differing(files: dict[Path, str]) -> list[Path]:
    """Return the paths whose text on disk is another one, or that are missing."""
    return [path for path, text in files.items() if not path.exists() or path.read_text() != text]


def fill(text: str, sections: dict[str, str]) -> str:
    """Return a text with each section put between its markers, `<!-- generated: NAME -->` and `<!-- end -->`."""
    return _GENERATED.sub(lambda match: match["start"] + sections[match["name"]], text)


def _components() -> Iterator[tuple[str, Any]]:
    for name in COMPONENTS:
        yield name, getattr(importlib.import_module(f"components.{name}.component"), name)


def _pipelines() -> Iterator[tuple[str, Any]]:
    for name in PIPELINES:
        yield name, getattr(importlib.import_module(f"pipelines.{name}"), name)


def _compile(component: BaseComponent) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "compiled.yaml")
        compiler.Compiler().compile(component, str(path))
        # In the comments on top, the keys of a default come in another order in each process.
        return _DEFAULT.sub(lambda match: f"{match[1]}{_in_order(ast.literal_eval(match[2]))}]", path.read_text())


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(each) for each in value] if isinstance(value, list) else value


def _interface(component: BaseComponent, function: Callable[..., Any]) -> dict[str, Any]:
    """Return description, inputs and outputs of a component or pipeline, in the order of its function's signature."""
    interface = json_format.MessageToDict(component.pipeline_spec)["root"]
    inputs, outputs = interface.get("inputDefinitions", {}), interface.get("outputDefinitions", {})
    description = (component.description or "").strip()
    returned = function.__annotations__.get("return")
    order = [*inspect.signature(function).parameters, *getattr(returned, "_fields", ())]
    # KFP forgets what an output artifact is: it is an argument of the function, and a result of the component.
    told = {each.arg_name: each.description for each in docstring_parser.parse(function.__doc__ or "").params}
    return {
        "description": description,
        "summary": description.split("\n", 1)[0],
        "inputs": sorted(_rows(inputs.get("parameters", {})), key=lambda row: order.index(row["name"])),
        "outputs": sorted(
            [*_rows(outputs.get("parameters", {})), *_artifacts(outputs.get("artifacts", {}), told)],
            key=lambda row: order.index(row["name"]),
        ),
    }


def _rows(parameters: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    for name, parameter in parameters.items():
        kind = _TYPES[parameter["parameterType"]]
        optional = parameter.get("isOptional", False) and kind not in ("status", "task")
        yield {
            "name": name,
            "type": kind,
            "default": f"`{_literal(parameter.get('defaultValue'), kind)}`" if optional else "",
            "description": _one_line(parameter.get("description", "")),
        }


def _artifacts(artifacts: Mapping[str, Any], descriptions: Mapping[str, str | None]) -> Iterable[dict[str, str]]:
    for name, artifact in artifacts.items():
        yield {
            "name": name,
            "type": artifact["artifactType"]["schemaTitle"].removeprefix("system."),
            "default": "",
            "description": _one_line(descriptions[name] or ""),
        }


def _literal(value: Any, kind: str) -> str:
    if kind == "str":
        return f'"{value}"'.replace("|", "\\|")
    return str(int(value)) if kind == "int" else str(_in_order(value))


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    write(compiled(Path(sys.argv[1])))
