"""The file of recurring runs, typed."""

import re
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from components.errors import InputError
from pipelines.deployment.cron import parse_cron
from pipelines.generated import REPOSITORY
from pipelines.parameters import check_parameters

SCHEDULES = REPOSITORY / "pipelines" / "schedules.yaml"
_PREFIX = re.compile(r"^Value error, ")


class Schedule(BaseModel):
    """A recurring run.

    Attributes:
        name: Its name on the server: lower case, digits and hyphens.
        pipeline: The pipeline.
        cron: When it starts: second, minute, hour, day of month, month, day of week, in the time zone of the server's
            scheduler, which is UTC unless its CRON_SCHEDULE_TIMEZONE says otherwise.
        description: What people should know.
        parameters: Pipeline parameters; the others keep their defaults.
        enabled: Whether it starts runs.
        max_concurrency: Runs of it at one time, 1..10; a start that is one too many waits.
        no_catchup: Whether starts that were missed are left out, but for the latest.
        experiment: The experiment that its runs are in.
        service_account: The account that its tasks run as; empty takes the server's.
        version: Name of the pipeline's version; empty takes the one with the content of the compiled file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
    pipeline: Literal["training", "scoring", "labeling"]
    cron: str
    # The server keeps no more than 255 characters, and the mark that tells ours from others' takes some.
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
    def _cron_means_what_it_says(cls, value: str) -> str:
        parse_cron(value)
        return " ".join(value.split())

    def check_parameters(self, compiled: Path, file: Path) -> None:
        """Check that the pipeline declares the parameters.

        Args:
            compiled: The compiled pipeline.
            file: The file that this is of, for the error.

        Raises:
            InputError: It does not, or they are of another type.
        """
        try:
            check_parameters(compiled, self.parameters)
        except InputError as error:
            raise InputError(f"{file}: {self.name}.{error}") from error


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schedules: tuple[Schedule, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [schedule.name for schedule in self.schedules]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two are named {', '.join(doubled)}. Rename one")
        return self


def load_schedules(path: Path) -> tuple[Schedule, ...]:
    """Read the file of recurring runs.

    Args:
        path: The YAML.

    Raises:
        InputError: There is no such file, it is no YAML, or a field is unknown, missing or not allowed.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}). Name a file with --file.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no YAML ({' '.join(str(error).split())}). Correct it.") from error
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
    # Pydantic names the class, which is nothing to the user; the sentences about cron name their field themselves.
    message = "Input should be a mapping" if first["type"] == "model_type" else _PREFIX.sub("", first["msg"])
    return f"{'.'.join(where) or 'schedules'}: {message.removeprefix('cron: ')}".rstrip(".") + "."
