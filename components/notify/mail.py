"""Sending a message by e-mail."""

import smtplib
import ssl
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.utils import localtime, make_msgid

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from components.errors import InputError
from components.notify.addresses import parse_address, parse_addresses
from components.notify.mail_errors import explain, is_temporary
from components.notify.message import Message
from components.settings import ENVIRONMENT_PREFIX, Settings

_ATTEMPTS = 4
_LONGEST_WAIT_SECONDS = 10
_TIMEOUT_SECONDS = 30

# A mail server need not take 8bit.
_POLICY = policy.SMTP.clone(cte_type="7bit")


def send(settings: Settings, message: Message, to: str) -> None:
    """Send a message by the mail server of the settings. What fails for the moment only is tried again.

    Args:
        settings: Name the mail server.
        message: What is sent.
        to: Addresses, separated by commas.

    Raises:
        InputError: No mail server is named, an address is none, or the mail server did not take the message for all of
            them.
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
        settings: Name the sender.
        message: What is sent.
        to: Addresses, separated by commas.

    Raises:
        InputError: No mail server is named, or an address is none.
    """
    recipients = parse_addresses(to, "to")
    if not settings.smtp_host:
        raise InputError(
            f"smtp_host: not set, so no e-mail can be sent. Set {ENVIRONMENT_PREFIX}SMTP_HOST in the environment, or"
            " leave the address empty."
        )
    if settings.smtp_username and settings.smtp_password is None:
        raise InputError(
            f"smtp_password: not set, but smtp_username is. Set {ENVIRONMENT_PREFIX}SMTP_PASSWORD in the environment."
        )
    sender = parse_address(settings.smtp_sender, "smtp_sender")
    mail = EmailMessage(_POLICY)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = message.subject
    mail["Date"] = localtime()
    # The same at each attempt, so that a mailbox can tell what came twice.
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(message.sentences))
    return mail, recipients


def _deliver(settings: Settings, mail: EmailMessage, pending: list[str]) -> None:
    """Send a mail to the pending recipients, and take those that the server accepts off the list."""
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
        # What was taken stays taken, whatever the server answers now.
        with suppress(OSError):
            connection.quit()


def _encrypt(settings: Settings, connection: smtplib.SMTP) -> None:
    connection.ehlo()
    if not connection.has_extn("starttls"):
        raise InputError(
            f"smtp_starttls: the mail server '{settings.smtp_host}:{settings.smtp_port}' does not offer it. Take"
            f" another server or port, or set {ENVIRONMENT_PREFIX}SMTP_STARTTLS=false to send without encryption."
        )
    connection.starttls(context=ssl.create_default_context())
