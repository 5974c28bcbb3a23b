"""Sending a notification by e-mail."""

import re
import smtplib
import socket
import ssl
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.utils import localtime, make_msgid

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from components.errors import InputError
from components.notify.message import Message, one_line
from components.settings import ENVIRONMENT_PREFIX, Settings

_ATTEMPTS = 4
_LONGEST_WAIT_SECONDS = 10
_TIMEOUT_SECONDS = 30

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_LONGEST_ADDRESS = 254

# Not 8bit, which a mail server need not take.
_POLICY = policy.SMTP.clone(cte_type="7bit")


def parse_addresses(text: str, field: str) -> list[str]:
    """Return the addresses of a comma-separated list, each once.

    Args:
        text: The list.
        field: What the user calls it, for the error.

    Raises:
        InputError: One is no e-mail address, or there is none.
    """
    addresses = list(dict.fromkeys(part.strip(" ") for part in text.split(",")))
    for address in addresses:
        if not _ADDRESS.fullmatch(address) or len(address) > _LONGEST_ADDRESS:
            raise InputError(
                f"{field}: '{one_line(address)}' is no e-mail address. Write addresses as name@example.com,"
                " separated by commas."
            )
    return addresses


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
    recipients = parse_addresses(to, "to")
    _check(settings)
    mail = _mail(settings, message, recipients)
    try:
        for attempt in Retrying(
            retry=retry_if_exception(_is_temporary),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(max=_LONGEST_WAIT_SECONDS),
            reraise=True,
        ):
            with attempt:
                _deliver(settings, mail, recipients)
    except OSError as error:
        raise InputError(_sentence(settings, error)) from error


def _check(settings: Settings) -> None:
    if not settings.smtp_host:
        raise InputError(
            f"smtp_host: not set, so no e-mail can be sent. Set {ENVIRONMENT_PREFIX}SMTP_HOST in the environment, or"
            " leave the address empty."
        )
    if settings.smtp_username and settings.smtp_password is None:
        raise InputError(
            f"smtp_password: not set, but smtp_username is. Set {ENVIRONMENT_PREFIX}SMTP_PASSWORD in the environment."
        )


def _mail(settings: Settings, message: Message, recipients: list[str]) -> EmailMessage:
    [sender] = parse_addresses(settings.smtp_sender, "smtp_sender")
    mail = EmailMessage(_POLICY)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = message.subject
    mail["Date"] = localtime()
    # The same at each attempt, so that a mailbox can tell a message that came twice.
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    return mail


def _deliver(settings: Settings, mail: EmailMessage, pending: list[str]) -> None:
    """Send a mail to the pending recipients, and keep those that were refused in the list."""
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
        # What was taken stays taken, whatever the server thinks of the farewell.
        with suppress(OSError):
            connection.quit()


def _encrypt(settings: Settings, connection: smtplib.SMTP) -> None:
    connection.ehlo()
    if not connection.has_extn("starttls"):
        raise InputError(
            f"smtp_starttls: the mail server '{_server(settings)}' does not offer STARTTLS. Take another port or server,"
            f" or set {ENVIRONMENT_PREFIX}SMTP_STARTTLS=false to send without encryption."
        )
    connection.starttls(context=ssl.create_default_context())


def _is_temporary(error: BaseException) -> bool:
    match error:
        case smtplib.SMTPRecipientsRefused():
            return any(_is_temporary_code(code) for code, _ in error.recipients.values())
        case smtplib.SMTPResponseException():
            return _is_temporary_code(error.smtp_code)
        case socket.gaierror():
            return error.errno == socket.EAI_AGAIN
        case _:
            return isinstance(error, ConnectionError | TimeoutError | smtplib.SMTPServerDisconnected)


def _is_temporary_code(code: int) -> bool:
    return 400 <= code < 500


def _server(settings: Settings) -> str:
    return f"{settings.smtp_host}:{settings.smtp_port}"


def _sentence(settings: Settings, error: OSError) -> str:
    server = _server(settings)
    match error:
        case smtplib.SMTPRecipientsRefused():
            replies = ", ".join(f"{address} ({_reply(*reply)})" for address, reply in error.recipients.items())
            return f"to: the mail server '{server}' refused {replies}. Correct the address, or let the server take it."
        case smtplib.SMTPSenderRefused():
            reply = _reply(error.smtp_code, error.smtp_error)
            return (
                f"smtp_sender: the mail server '{server}' refused the sender {settings.smtp_sender} ({reply}). Set"
                f" {ENVIRONMENT_PREFIX}SMTP_SENDER to an address that may send there."
            )
        case smtplib.SMTPAuthenticationError():
            reply = _reply(error.smtp_code, error.smtp_error)
            return (
                f"smtp_username: the mail server '{server}' refused the login ({reply}). Correct"
                f" {ENVIRONMENT_PREFIX}SMTP_USERNAME and {ENVIRONMENT_PREFIX}SMTP_PASSWORD."
            )
        case smtplib.SMTPResponseException():
            reply = _reply(error.smtp_code, error.smtp_error)
            return f"smtp_host: the mail server '{server}' did not take the notification ({reply}). Ask who runs it."
        case smtplib.SMTPNotSupportedError() | smtplib.SMTPException():
            return (
                f"smtp_host: the mail server '{server}' did not take the notification ({one_line(str(error))}). Correct"
                " the smtp_ settings."
            )
        case ssl.SSLCertVerificationError():
            return (
                f"smtp_host: the certificate of the mail server '{server}' is not trusted ({error.verify_message})."
                " Correct the host's name, or name its authority's certificate by SSL_CERT_FILE."
            )
        case _:
            return (
                f"smtp_host: the mail server '{server}' can't be reached ({one_line(str(error))}). Correct"
                f" {ENVIRONMENT_PREFIX}SMTP_HOST and {ENVIRONMENT_PREFIX}SMTP_PORT, or let this task connect to it."
            )


def _reply(code: int, text: bytes | str) -> str:
    return one_line(f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}")
