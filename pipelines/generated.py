"""The files that are made from the code: compiled pipelines and components, and the tables in the READMEs."""

import importlib
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import yaml
from kfp import compiler

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
}
_GENERATED = re.compile(r"(?P<start><!-- generated: (?P<name>\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
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
    for name in COMPONENTS:
        folder = REPOSITORY / "components" / name
        files[folder / "component.yaml"] = _compile(f"components.{name}.component", name)
        components[name] = _interface(files[folder / "component.yaml"], f"comp-{name.replace('_', '-')}")
        files[folder / "README.md"] = _TEMPLATES.get_template("component.md.j2").render(name=name, **components[name])
    for name in PIPELINES:
        files[COMPILED / f"{name}.yaml"] = _compile(f"pipelines.{name}", name)
        pipelines[name] = _interface(files[COMPILED / f"{name}.yaml"], None)
    readme = REPOSITORY / "README.md"
    tables = _TEMPLATES.get_template("tables.md.j2").module
    files[readme] = _fill(
        readme.read_text(),
        {
            "components": str(tables.components(components)),  # type: ignore[attr-defined]  # Jinja2 makes it of the macro
            "pipelines": str(tables.pipelines(pipelines)),  # type: ignore[attr-defined]  # likewise
        },
    )
    return files


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


def _compile(module: str, name: str) -> str:
    function = getattr(importlib.import_module(module), name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "compiled.yaml")
        compiler.Compiler().compile(function, str(path))
        return path.read_text()


def _interface(compiled: str, component: str | None) -> dict[str, Any]:
    """Return description, inputs and outputs of a compiled component, or of a pipeline if `component` is None."""
    spec = next(iter(yaml.safe_load_all(compiled)))
    interface = spec["components"][component] if component else spec["root"]
    inputs, outputs = interface.get("inputDefinitions", {}), interface.get("outputDefinitions", {})
    description = spec.get("pipelineInfo", {}).get("description") or ""
    return {
        "description": description.strip(),
        "summary": description.strip().split("\n\n")[0].replace("\n", " "),
        "inputs": [*_rows(inputs.get("parameters", {})), *_artifacts(inputs.get("artifacts", {}))],
        "outputs": [*_rows(outputs.get("parameters", {})), *_artifacts(outputs.get("artifacts", {}))],
    }


def _rows(parameters: dict[str, Any]) -> Iterable[dict[str, str]]:
    for name, parameter in parameters.items():
        default = parameter.get("defaultValue")
        kind = _TYPES[parameter["parameterType"]]
        optional = parameter.get("isOptional", False) or default is not None
        yield {
            "name": name,
            "type": kind,
            "default": "" if not optional or kind == "status" else f"`{_literal(default, kind)}`",
            "description": _one_line(parameter.get("description", "")),
        }


def _artifacts(artifacts: dict[str, Any]) -> Iterable[dict[str, str]]:
    for name, artifact in artifacts.items():
        yield {
            "name": name,
            "type": artifact["artifactType"]["schemaTitle"].removeprefix("system."),
            "default": "",
            "description": _one_line(artifact.get("description", "")),
        }


def _literal(value: Any, kind: str) -> str:
    if kind == "str":
        return f'"{value}"'.replace("|", "\\|")
    return str(int(value)) if kind == "int" else str(value)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _fill(text: str, sections: dict[str, str]) -> str:
    """Put each section between its markers."""
    return _GENERATED.sub(lambda match: match["start"] + sections[match["name"]], text)
