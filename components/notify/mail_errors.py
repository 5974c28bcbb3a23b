"""Errors of a mail server: which of them are temporary, and the message for the user."""

import smtplib
import socket
import ssl

from components.notify.message import one_line
from components.settings import ENVIRONMENT_PREFIX, Settings


def is_temporary(error: BaseException) -> bool:
    """Return whether a later attempt may succeed."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            return any(_is_temporary_code(code) for code, _ in error.recipients.values())
        case smtplib.SMTPResponseException():
            return _is_temporary_code(error.smtp_code)
        case socket.gaierror():
            return error.errno == socket.EAI_AGAIN
        case _:
            return isinstance(error, ConnectionError | TimeoutError | smtplib.SMTPServerDisconnected)


def explain(settings: Settings, error: OSError | UnicodeError) -> str:
    """Return a message for the user that begins with the setting to correct.

    Args:
        settings: Settings that name the mail server.
        error: Error that `smtplib` raised. Its own errors are OSErrors, too.
    """
    server = f"the mail server '{settings.smtp_host}:{settings.smtp_port}'"
    match error:
        case smtplib.SMTPRecipientsRefused():
            refused = ", ".join(f"{address} ({_reply(*reply)})" for address, reply in error.recipients.items())
            return f"to: {server} refused {refused}. Correct the address, or configure the server to accept it."
        case smtplib.SMTPSenderRefused():
            return (
                f"smtp_sender: {server} refused {settings.smtp_sender} ({_reply(error.smtp_code, error.smtp_error)})."
                f" Set {ENVIRONMENT_PREFIX}SMTP_SENDER to an address that may send there."
            )
        case smtplib.SMTPAuthenticationError():
            return (
                f"smtp_username: {server} refused the login ({_reply(error.smtp_code, error.smtp_error)}). Correct"
                f" {ENVIRONMENT_PREFIX}SMTP_USERNAME and {ENVIRONMENT_PREFIX}SMTP_PASSWORD."
            )
        case smtplib.SMTPResponseException():
            reply = _reply(error.smtp_code, error.smtp_error)
            return f"smtp_host: {server} did not accept the message ({reply}). Ask the server's administrators."
        case smtplib.SMTPException():
            return (
                f"smtp_host: {server} did not accept the message ({one_line(str(error))}). Correct the settings that"
                f" begin with {ENVIRONMENT_PREFIX}SMTP."
            )
        case ssl.SSLCertVerificationError():
            return (
                f"smtp_host: the certificate of {server} is not trusted ({error.verify_message}). Correct the host"
                " name, or set SSL_CERT_FILE to a file with the certificate of its authority."
            )
        case UnicodeError():
            return f"smtp_host: the host name or the login of {server} is not ASCII. Use ASCII for both."
        case _:
            return (
                f"smtp_host: {server} can't be reached ({one_line(str(error))}). Correct {ENVIRONMENT_PREFIX}SMTP_HOST"
                f" and {ENVIRONMENT_PREFIX}SMTP_PORT, or allow this task to connect to it."
            )


def _is_temporary_code(code: int) -> bool:
    return 400 <= code < 500


def _reply(code: int, text: bytes | str) -> str:
    return one_line(f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}")
