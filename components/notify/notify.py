"""Tell people how a run ended: always in the log, and by e-mail if there is someone to send it to."""

from components.notify.last_ingest import read_last_ingest
from components.notify.mail import send
from components.notify.message import RunEnd, add_dry_source, run_ended
from components.settings import Settings


def announce(settings: Settings, end: RunEnd, to: str = "", ingests: str = "") -> None:
    """Print how a run ended, then send it.

    Args:
        settings: Name the lake and the mail server.
        end: How it ended.
        to: E-mail addresses, separated by commas; empty for the log only.
        ingests: Which images the run's pipeline ingests, `labelled` or `unlabelled`; empty for none.

    Raises:
        InputError: The e-mail could not be sent.
    """
    message = run_ended(end)
    # Before anything that depends on a store or a mail server.
    print(*message.sentences, sep="\n", flush=True)
    # Of a run that failed, the last ingest need not be its own.
    ingest = read_last_ingest(settings, ingests) if ingests and end.succeeded else None
    if ingest is not None and ingest.found == 0:
        message = add_dry_source(message, ingest)
        print(message.sentences[-1], flush=True)
    if to:
        send(settings, message, to)
