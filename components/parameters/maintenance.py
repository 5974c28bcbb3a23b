"""Parameters of the pipeline maintenance."""

from pydantic import Field

from components.parameters.options import Flag, Integer, Options

DEFAULT_TRAININGS = 10


class MaintenanceFields(Options):
    """Parameters of the pipeline maintenance that no other pipeline has."""

    keep_trainings: Integer = Field(
        DEFAULT_TRAININGS,
        ge=1,
        description="Number of the newest trainings, training sets and versions of each model whose data stay. What"
        " champions, former champions that a rollback can restore, and runs of the last 14 days need stays, too. Lower"
        " it to free more space.",
    )
    retention_days: Integer = Field(
        7,
        ge=7,
        description="Age in days from which files that no table needs are removed. Earlier versions of the tables can"
        " be read for that long. Raise it to query older versions.",
    )
    dry_run: Flag = Field(False, description="Whether the run only reports what it would remove, and writes nothing.")
