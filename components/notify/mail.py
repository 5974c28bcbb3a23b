"""E-mail with the text of a notification."""

import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from components.errors import InputError
from components.notify.mail_errors import explain, is_temporary
from components.notify.message import Message
from components.parameters.addresses import parse_address, parse_addresses
from components.settings import ENVIRONMENT_PREFIX, Settings

Addresses = TypeVar("Addresses", str, list[str])

_ATTEMPTS = 4
_LONGEST_WAIT_SECONDS = 10
_TIMEOUT_SECONDS = 30

# A mail server may reject 8bit.
_POLICY = policy.SMTP.clone(cte_type="7bit")


def send(settings: Settings, message: Message, to: str) -> None:
    """Send a message through the configured mail server; retry temporary errors.

    Args:
        settings: Settings that name the mail server.
        message: The message.
        to: Addresses, separated by commas.

    Raises:
        InputError: The settings name no mail server, an address is invalid, or the server can't be reached or rejects
            the message or a recipient.
    """
    mail, recipients = compose(settings, message, to)
    try:
        for attempt in Retrying(
            retry=retry_if_exception(is_temporary),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(max=_LONGEST_WAIT_SECONDS),
            reraise=True,
        ):
            with attempt:
                _deliver(settings, mail, recipients)
    except (OSError, UnicodeError) as error:
        raise InputError(explain(settings, error)) from error


def compose(settings: Settings, message: Message, to: str) -> tuple[EmailMessage, list[str]]:
    """Return the e-mail of a message and its recipients.

    Args:
        settings: Settings that name the mail server and the sender.
        message: The message.
        to: Addresses, separated by commas.

    Raises:
        InputError: The settings name no mail server, or an address is invalid.
    """
    recipients = _parse("to", parse_addresses, to)
    if not settings.smtp_host:
        raise InputError(
            f"smtp_host: not set, so no e-mail can be sent. Set {ENVIRONMENT_PREFIX}SMTP_HOST in the environment, or"
            " leave the address empty."
        )
    if settings.smtp_username and settings.smtp_password is None:
        raise InputError(
            f"smtp_password: not set, but smtp_username is. Set {ENVIRONMENT_PREFIX}SMTP_PASSWORD in the environment."
        )
    sender = _parse("smtp_sender", parse_address, settings.smtp_sender)
    mail = EmailMessage(_POLICY)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = message.subject
    mail["Date"] = localtime()
    # All attempts share the id, so that a mailbox recognizes duplicates.
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(message.sentences))
    return mail, recipients


def _parse(field: str, parse: Callable[[str], Addresses], text: str) -> Addresses:
    """Parse addresses, and name their field in the error."""
    try:
        return parse(text)
    except ValueError as error:
        raise InputError(f"{field}: {error}") from None


def _deliver(settings: Settings, mail: EmailMessage, pending: list[str]) -> None:
    """Send a mail to the pending recipients; remove accepted ones from the list."""
    connection = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_TIMEOUT_SECONDS)
    try:
        if settings.smtp_starttls:
            _encrypt(settings, connection)
        if settings.smtp_username and settings.smtp_password:
            connection.login(settings.smtp_username, settings.smtp_password.get_secret_value())
        refused = connection.send_message(mail, to_addrs=pending)
        pending[:] = refused
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)
    finally:
        # The server has accepted the message, whatever its response to QUIT.
        with suppress(OSError):
            connection.quit()


def _encrypt(settings: Settings, connection: smtplib.SMTP) -> None:
    connection.ehlo()
    if not connection.has_extn("starttls"):
        raise InputError(
            f"smtp_starttls: the mail server '{settings.smtp_host}:{settings.smtp_port}' does not offer STARTTLS. Use"
            f" another server or port, or set {ENVIRONMENT_PREFIX}SMTP_STARTTLS=false to send without encryption."
        )
    connection.starttls(context=ssl.create_default_context())
