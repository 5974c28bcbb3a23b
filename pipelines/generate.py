"""Generate files from the code: compiled pipelines and components, their documentation, and tables in the README.

`python -m pipelines.generate FOLDER` writes the compiled files into a folder.
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
from pydantic.fields import FieldInfo

from components.parameters.describe import default, summary
from components.parameters.forms import FORMS, OPTIONS
from components.parameters.kinds import kind
from pipelines.catalogue import REPOSITORY, ComponentName, PipelineName

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


def generated_files() -> dict[Path, str]:
    """Return the texts of all generated files, by path."""
    files: dict[Path, str] = {}
    components: dict[str, dict[str, Any]] = {}
    component_page = _TEMPLATES.get_template("component.md.j2")
    for component_name, component in _components():
        interface = components[component_name] = _interface(component, component.python_func)
        files[component_name.compiled] = _compile(component)
        files[component_name.folder / "README.md"] = component_page.render(name=component_name, **interface)
    for pipeline_name, pipeline in _pipelines():
        files[pipeline_name.compiled] = _compile(pipeline)
    files[REPOSITORY / "docs" / "parameters.md"] = _TEMPLATES.get_template("parameters.md.j2").render(
        fields=list(_fields()), objects=list(_objects())
    )
    readme = REPOSITORY / "README.md"
    tables = _TEMPLATES.get_template("tables.md.j2").module
    files[readme] = fill(
        readme.read_text(),
        {"components": str(tables.components(components))},  # type: ignore[attr-defined]  # Jinja2 makes it of the macro
    )
    return files


def compiled(folder: Path) -> dict[Path, str]:
    """Return the texts of all compiled files, by path in a folder outside the repository."""
    return {
        **{folder / f"{name}.yaml": _compile(pipeline) for name, pipeline in _pipelines()},
        **{folder / "components" / f"{name}.yaml": _compile(component) for name, component in _components()},
    }


def write(files: dict[Path, str]) -> list[Path]:
    """Write the files whose text differs from that on disk, and return their paths."""
    changed = differing(files)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
    return changed


def differing(files: dict[Path, str]) -> list[Path]:
    """Return the paths of files that are missing or differ on disk."""
    return [path for path, text in files.items() if not path.exists() or path.read_text() != text]


def fill(text: str, sections: dict[str, str]) -> str:
    """Insert sections between their markers, `<!-- generated: NAME -->` and `<!-- end -->`."""
    return _GENERATED.sub(lambda match: match["start"] + sections[match["name"]], text)


def _components() -> Iterator[tuple[ComponentName, Any]]:
    for name in ComponentName:
        yield name, getattr(importlib.import_module(f"components.{name}.component"), name)


def _pipelines() -> Iterator[tuple[PipelineName, Any]]:
    for name in PipelineName:
        yield name, getattr(importlib.import_module(f"pipelines.{name}"), name)


def _compile(component: BaseComponent) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "compiled.yaml")
        compiler.Compiler().compile(component, str(path))
        # KFP's comments list the keys of a default in an order that changes with each process.
        return _DEFAULT.sub(lambda match: f"{match[1]}{_in_order(ast.literal_eval(match[2]))}]", path.read_text())


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(each) for each in value] if isinstance(value, list) else value


def _interface(component: BaseComponent, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the description, inputs and outputs of a component, in the order of its signature."""
    interface = json_format.MessageToDict(component.pipeline_spec)["root"]
    inputs, outputs = interface.get("inputDefinitions", {}), interface.get("outputDefinitions", {})
    description = (component.description or "").strip()
    returned = function.__annotations__.get("return")
    order = [*inspect.signature(function).parameters, *getattr(returned, "_fields", ())]
    # KFP drops the descriptions of output artifacts, because they are arguments of the function.
    docstring = docstring_parser.parse(function.__doc__ or "")
    descriptions = {parameter.arg_name: parameter.description for parameter in docstring.params}
    return {
        "description": description,
        "summary": description.split("\n", 1)[0],
        "inputs": sorted(_rows(inputs.get("parameters", {})), key=lambda row: order.index(row["name"])),
        "outputs": sorted(
            [*_rows(outputs.get("parameters", {})), *_artifacts(outputs.get("artifacts", {}), descriptions)],
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
            "description": _described(name, parameter.get("description", "")),
        }


def _described(name: str, text: str) -> str:
    """Return the description of an input for a table; JSON fields link to their keys."""
    return f"{summary(OPTIONS[name])} [Keys](../../docs/parameters.md#{name})." if name in OPTIONS else _cell(text)


def _artifacts(artifacts: Mapping[str, Any], descriptions: Mapping[str, str | None]) -> Iterable[dict[str, str]]:
    for name, artifact in artifacts.items():
        yield {
            "name": name,
            "type": artifact["artifactType"]["schemaTitle"].removeprefix("system."),
            "default": "",
            "description": _cell(descriptions[name] or ""),
        }


def _literal(value: Any, kind: str) -> str:
    if kind == "str":
        return f'"{value}"'.replace("|", "\\|")
    return str(int(value)) if kind == "int" else str(_in_order(value))


def _fields() -> Iterator[dict[str, str]]:
    """Yield a row for each field of the forms. Equal fields of several forms share a row."""
    pipelines: dict[tuple[str, str], list[str]] = {}
    fields = {}
    for pipeline, form in FORMS.items():
        for name, field in form.model_fields.items():
            pipelines.setdefault((name, field.description or ""), []).append(pipeline)
            fields[name, field.description or ""] = field
    # Sources first, JSON fields last.
    for (name, text), users in sorted(
        pipelines.items(), key=lambda item: (item[0][0] in OPTIONS, item[0][0] != "source")
    ):
        row = _parameter(name, fields[name, text])
        if name in OPTIONS:
            row |= {"default": "all defaults", "meaning": f"{summary(OPTIONS[name])} See [{name}](#{name})."}
        yield row | {"pipelines": "all" if len(users) == len(FORMS) else ", ".join(users)}


def _objects() -> Iterator[dict[str, Any]]:
    """Yield name, summary, pipelines and rows of each JSON field."""
    for name, model in OPTIONS.items():
        yield {
            "name": name,
            "summary": summary(model),
            "pipelines": ", ".join(pipeline for pipeline, form in FORMS.items() if name in form.model_fields),
            "rows": [_parameter(key, field) for key, field in model.model_fields.items()],
        }


def _parameter(name: str, field: FieldInfo) -> dict[str, str]:
    return {
        "name": name,
        "takes": kind(field),
        "default": f"`{_cell(default(field))}`",
        "meaning": _cell(field.description or ""),
    }


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    write(compiled(Path(sys.argv[1])))
