"""A real mail server on a free port of the loopback interface, which records the accepted messages."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(frozen=True)
class Delivery:
    """An accepted message.

    Attributes:
        sender: Sender in the envelope.
        recipients: Recipients in the envelope.
        mail: The message.
        encrypted: Whether the connection was encrypted.
        user: Name of the user who had logged in; empty for none.
    """

    sender: str
    recipients: list[str]
    mail: EmailMessage
    encrypted: bool
    user: str


@dataclass
class Mailbox:
    """The server's behavior, and the requests so far.

    Attributes:
        refusals: Replies to the next requests that name an address as sender or recipient, by address. Further
            requests are accepted.
        data_refusals: Replies to the next messages. Further messages are accepted.
        drops: Number of connections to drop when the client names the sender.
        deliveries: Accepted messages.
        named: Recipients that clients have named, accepted or not.
    """

    refusals: dict[str, list[str]] = field(default_factory=dict)
    data_refusals: list[str] = field(default_factory=list)
    drops: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    named: list[str] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.drops:
            self.drops -= 1
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        if self.refusals.get(address):
            return self.refusals[address].pop(0)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.named.append(address)
        if self.refusals.get(address):
            return self.refusals[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        if self.data_refusals:
            return self.data_refusals.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        user = session.auth_data.login.decode() if session.auth_data else ""
        mail = message_from_bytes(content, EmailMessage, policy=policy.default)
        self.deliveries.append(
            Delivery(str(envelope.mail_from), list(envelope.rcpt_tos), mail, session.ssl is not None, user)
        )
        return "250 OK"


class _Controller(Controller):
    """A controller on any free port. aiosmtpd's controller would connect to port 0 to see whether it has started."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd left it without types


@contextmanager
def running_mail_server(
    mailbox: Mailbox, certificate: ssl.SSLContext | None = None, login: tuple[str, str] | None = None
) -> Iterator[int]:
    """Run a mail server, and yield its port.

    Args:
        mailbox: Behavior of the server.
        certificate: Context with the certificate for STARTTLS, which is then required; None for no STARTTLS.
        login: User and password of the only login; None for none. Mail is accepted without a login, too.
    """

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert login is not None
        assert isinstance(data, LoginPassword)
        success = (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=success, handled=False, auth_data=data)

    controller = _Controller(
        mailbox,
        hostname="127.0.0.1",
        port=0,
        tls_context=certificate,
        require_starttls=certificate is not None,
        authenticator=authenticate if login else None,
        auth_require_tls=certificate is not None or login is None,
    )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
