"""The file of recurring runs."""

import re
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from components.errors import InputError
from pipelines.catalogue import REPOSITORY, PipelineName
from pipelines.deployment.cron import parse_cron
from pipelines.parameters import convert_parameters

SCHEDULES = REPOSITORY / "pipelines" / "schedules.yaml"
_PREFIX = re.compile(r"^Value error, ")


class Schedule(BaseModel):
    """A recurring run.

    Attributes:
        name: Name on the server: lower-case letters, digits and hyphens.
        pipeline: The pipeline that it runs.
        cron: Second, minute, hour, day of month, month and day of week, in the time zone of the server's scheduler:
            UTC, unless CRON_SCHEDULE_TIMEZONE is set there.
        description: Description for people, shown in the UI.
        parameters: Pipeline parameters that differ from their defaults.
        enabled: Whether it starts runs.
        max_concurrency: Largest number of its runs at one time, 1..10. Further runs wait.
        no_catchup: Whether only the latest of several missed runs starts.
        experiment: Name of the experiment of its runs.
        service_account: Service account of its pods. Empty: the server's default.
        version: Name of the pipeline version. Empty: the version with the content of the compiled file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
    pipeline: PipelineName
    cron: str
    # The server stores 255 characters, and our mark needs some of them.
    description: str = Field("", max_length=150)
    parameters: dict[str, Any] = {}
    enabled: bool = True
    max_concurrency: int = Field(1, ge=1, le=10)
    no_catchup: bool = True
    experiment: str = Field("image-pipelines", min_length=1, max_length=128)
    service_account: str = ""
    version: str = ""

    @field_validator("cron")
    @classmethod
    def _check_cron(cls, value: str) -> str:
        parse_cron(value)
        return " ".join(value.split())

    def with_typed_parameters(self, file: Path) -> Self:
        """Return this schedule with validated parameters of the pipeline's types.

        Args:
            file: The file that this schedule is in, for the error.

        Raises:
            InputError: A parameter is unknown, or a value is not allowed.
        """
        try:
            return self.model_copy(update={"parameters": convert_parameters(self.pipeline, self.parameters)})
        except InputError as error:
            raise InputError(f"{file}: {self.name}.{error}") from None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schedules: tuple[Schedule, ...] = ()

    @model_validator(mode="after")
    def _check_unique_names(self) -> Self:
        names = [schedule.name for schedule in self.schedules]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"duplicate name {', '.join(duplicates)}. Rename one")
        return self


def load_schedules(path: Path) -> tuple[Schedule, ...]:
    """Read the file of recurring runs.

    Args:
        path: The YAML.

    Raises:
        InputError: The file does not exist or is not YAML, or a field is unknown, missing or malformed.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}). Give another file with --file.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())}). Fix the syntax.") from error
    try:
        return _File.model_validate({} if content is None else content).schedules
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error, content)}") from error


def _sentence(error: ValidationError, content: Any) -> str:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if where[:1] == ["schedules"] and len(where) > 1:
        entry = content["schedules"][int(where[1])]
        name = entry.get("name") if isinstance(entry, dict) else None
        where[:2] = [str(name or f"schedules[{where[1]}]")]
    # Pydantic's message names the Python class. Errors about cron already name their field.
    message = "Input should be a mapping" if first["type"] == "model_type" else _PREFIX.sub("", first["msg"])
    return f"{'.'.join(where) or 'schedules'}: {message.removeprefix('cron: ')}".rstrip(".") + "."
