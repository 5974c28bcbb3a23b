"""Tell people how a run ended: always in the log, and by e-mail if there is someone to send it to."""

from components.notify.last_ingest import read_last_ingest
from components.notify.mail import send
from components.notify.message import RunEnd, compose
from components.settings import Settings


def announce(settings: Settings, end: RunEnd, to: str = "", ingests: bool = True) -> None:
    """Print how a run ended, then send it.

    Args:
        settings: Name the lake and the mail server.
        end: How it ended.
        to: E-mail addresses, separated by commas; empty for the log only.
        ingests: Whether the run's pipeline ingests images, so that the lake's last ingest is its own.

    Raises:
        InputError: The e-mail could not be sent.
    """
    message = compose(end, read_last_ingest(settings) if ingests else None)
    print(message.text, flush=True)
    if to:
        send(settings, message, to)
