"""A real mail server on a free port of the loopback interface, which keeps what it takes."""

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
    """What the server took.

    Attributes:
        sender: Of the envelope.
        recipients: Of the envelope.
        mail: The message.
        encrypted: Whether it came over TLS.
        user: Who had logged in; empty for nobody.
    """

    sender: str
    recipients: list[str]
    mail: EmailMessage
    encrypted: bool
    user: str


@dataclass
class Mailbox:
    """The server's behaviour, and what it has seen.

    Attributes:
        refusals: Replies by address, one for each time that it is named as sender or recipient, in turn; then it is
            accepted.
        data_refusals: Replies to a message, in turn; then messages are accepted.
        drops: How many connections are cut at the sender's address.
        deliveries: Messages that were accepted.
        named: Addresses that were named as recipients.
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
    """Takes any free port; aiosmtpd's own would go on to connect to port 0."""

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
        mailbox: How it behaves.
        certificate: Offer STARTTLS, and insist on it, with this context.
        login: Know this user and password, and take mail from others too.
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
