"""The commands that create and migrate a lake."""

import typer

from pipelines.cli import options
from pipelines.cli.terminal import print_if_dry, print_line

app = typer.Typer(help="Create a lake, or migrate one of an earlier release.", no_args_is_help=True)


@app.command()
def create(lake: options.Lake = "") -> None:
    """Create an empty lake.

    Ingest does so too, so this is for a lake that other steps open first. An existing lake stays as it is.
    """
    from components.lake import Split
    from components.settings import Settings
    from pipelines.quiet_lake import quiet_lake

    settings = Settings.load(lake=lake)
    with quiet_lake(settings) as opened:
        is_new = not opened.exists()
        opened.create(Split.of(settings))
        print_line(f"{'Created' if is_new else 'Exists already'}: {opened.root}")


@app.command()
def migrate(lake: options.Lake = "", dry_run: options.DryRun = False) -> None:
    """Migrate a lake of an earlier release to the tables of this release.

    Each step that opens the lake does so too. With this command, you choose the time: a migration rewrites all tables,
    images included, and holds their locks. --dry-run prints the rows, bytes and free space that it takes. If a
    migration is ended before it is complete, the next one continues it.
    """
    from components.settings import Settings
    from pipelines.quiet_lake import quiet_lake

    with quiet_lake(Settings.load(lake=lake)) as opened:
        if opened.is_current():
            print_line(f"Nothing to migrate: {opened.root}")
        elif dry_run:
            print_line(str(opened.migration().cost()))
        else:
            opened.update()
            print_line(f"Migrated: {opened.root}")
    print_if_dry(dry_run)
