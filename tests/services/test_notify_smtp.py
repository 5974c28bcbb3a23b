"""Notifications through a real mail server: they arrive once, or an error names the cause in one sentence."""

import ipaddress
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.errors import InputError
from components.notify.message import RunEnd
from components.notify.notify import announce
from components.settings import ENVIRONMENT_PREFIX, Settings
from tests.services.mail_server import Mailbox, running_mail_server

FAILED = RunEnd("nightly-1-2", "FAILED", ".\n..\nBcc: e@example.com " + "lange Zeile: äöü " * 200, "image-scoring")
SUCCEEDED = RunEnd("nightly-1-2", "COMPLETE", "", "image-scoring")
SENDER = "pipelines@example.com"
TO = "ann@example.com"
BOTH = "ann@example.com, bob@example.com"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def start(mailbox: Mailbox) -> Iterator[Callable[..., Settings]]:
    """Start a mail server, and return settings that name it."""
    with ExitStack() as servers:

        def run(
            certificate: ssl.SSLContext | None = None,
            login: tuple[str, str] | None = None,
            starttls: bool = False,
            **values: str,
        ) -> Settings:
            port = servers.enter_context(running_mail_server(mailbox, certificate, login))
            return Settings.load(
                smtp_host="127.0.0.1", smtp_port=port, smtp_starttls=starttls, smtp_sender=SENDER, **values
            )

        yield run


def make_certificate(folder: Path, address: str) -> tuple[Path, ssl.SSLContext]:
    """Make a self-signed certificate of an IP address; return its file and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail server of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return certificate_file, context


def announce_trusting(certificate: Path, settings: Settings) -> "subprocess.CompletedProcess[str]":
    """Run the component's function in a process whose environment has the settings and a trusted certificate."""
    program = (
        "from kfp import dsl; from components.notify.component import notify;"
        " notify.python_func(dsl.PipelineTaskFinalStatus('COMPLETE', 'nightly-1-2', 'exit-handler-1', None, None),"
        f" to='{TO}', pipeline='image-scoring')"
    )
    environment = {f"{ENVIRONMENT_PREFIX}{name.upper()}": str(value) for name, value in settings if "smtp_" in name}
    if settings.smtp_password:
        environment[f"{ENVIRONMENT_PREFIX}SMTP_PASSWORD"] = settings.smtp_password.get_secret_value()
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "SSL_CERT_FILE": str(certificate), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_message_arrives_as_logged(
    start: Callable[..., Settings], mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(start(), FAILED, TO)

    [delivery] = mailbox.deliveries
    assert (delivery.sender, delivery.recipients) == (SENDER, [TO])
    assert (delivery.mail["From"], delivery.mail["To"]) == (SENDER, TO)
    assert delivery.mail["Bcc"] is None
    assert delivery.mail["Subject"] == "image-scoring failed"
    text = capsys.readouterr().out
    assert text.startswith("image-scoring (run nightly-1-2) failed: . .. Bcc: e@example.com lange Zeile: äöü")
    assert delivery.mail.get_content().splitlines() == text.splitlines()


def test_several_recipients_get_one_mail(start: Callable[..., Settings], mailbox: Mailbox) -> None:
    announce(start(), SUCCEEDED, BOTH)

    [delivery] = mailbox.deliveries
    assert delivery.recipients == ["ann@example.com", "bob@example.com"]
    assert delivery.mail["To"] == BOTH


def test_message_to_a_trusted_server_is_encrypted(
    start: Callable[..., Settings], mailbox: Mailbox, tmp_path: Path
) -> None:
    certificate, context = make_certificate(tmp_path, "127.0.0.1")
    settings = start(context, ("pipelines", "secret"), True, smtp_username="pipelines", smtp_password="secret")

    result = announce_trusting(certificate, settings)

    assert result.returncode == 0, result.stderr
    [delivery] = mailbox.deliveries
    assert (delivery.encrypted, delivery.user) == (True, "pipelines")
    assert result.stdout == "image-scoring (run nightly-1-2) succeeded.\n"
    assert delivery.mail.get_content().splitlines() == result.stdout.splitlines()


def test_certificate_of_another_host_is_refused(
    start: Callable[..., Settings], mailbox: Mailbox, tmp_path: Path
) -> None:
    certificate, context = make_certificate(tmp_path, "127.0.0.2")

    result = announce_trusting(certificate, start(context, starttls=True))

    assert result.returncode != 0
    assert result.stderr.splitlines()[-1].startswith("components.errors.InputError: smtp_host: the certificate of")
    assert "IP address mismatch" in result.stderr.splitlines()[-1]
    assert mailbox.deliveries == []


def test_untrusted_certificate_is_refused(start: Callable[..., Settings], mailbox: Mailbox, tmp_path: Path) -> None:
    _, context = make_certificate(tmp_path, "127.0.0.1")

    with pytest.raises(
        InputError, match=r"^smtp_host: the certificate of .* is not trusted \(self-signed certificate\)"
    ):
        announce(start(context, starttls=True), SUCCEEDED, TO)

    assert mailbox.deliveries == []


def test_server_without_starttls_gets_no_message(start: Callable[..., Settings], mailbox: Mailbox) -> None:
    with pytest.raises(InputError, match=r"^smtp_starttls: the mail server '127.0.0.1:\d+' does not offer STARTTLS\."):
        announce(start(starttls=True), SUCCEEDED, TO)

    assert mailbox.named == []


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("guessed", r"^smtp_username: the mail server .* refused the login \(535 .*\)\. Correct .*SMTP_PASSWORD\.$"),
        ("gerät", r"^smtp_host: the host name or the login of .* is not ASCII\. Use ASCII for both\.$"),
    ],
)
def test_refused_login_raises_one_sentence_without_the_password(
    password: str, sentence: str, start: Callable[..., Settings], mailbox: Mailbox
) -> None:
    settings = start(login=("pipelines", "secret"), smtp_username="pipelines", smtp_password=password)

    with pytest.raises(InputError, match=sentence) as error:
        announce(settings, SUCCEEDED, TO)

    assert password not in str(error.value)
    assert mailbox.deliveries == []


def test_server_without_login_is_named(start: Callable[..., Settings], mailbox: Mailbox) -> None:
    settings = start(smtp_username="pipelines", smtp_password="secret")

    with pytest.raises(
        InputError, match=r"^smtp_host: .* did not accept the message \(SMTP AUTH extension not supported"
    ):
        announce(settings, SUCCEEDED, TO)

    assert mailbox.deliveries == []


def test_dropped_connection_is_retried(start: Callable[..., Settings], mailbox: Mailbox) -> None:
    mailbox.drops = 1

    announce(start(), SUCCEEDED, TO)

    assert [delivery.recipients for delivery in mailbox.deliveries] == [[TO]]
    assert mailbox.drops == 0


@pytest.mark.parametrize("where", ["sender", "data"])
def test_temporarily_refused_message_is_sent_again(
    where: str, start: Callable[..., Settings], mailbox: Mailbox
) -> None:
    if where == "sender":
        mailbox.refusals[SENDER] = ["421 too busy"]
    else:
        mailbox.data_refusals = ["451 no space at the moment"]

    announce(start(), SUCCEEDED, TO)

    assert [delivery.recipients for delivery in mailbox.deliveries] == [[TO]]


def test_temporarily_refused_recipient_is_retried_and_the_others_get_one_mail(
    start: Callable[..., Settings], mailbox: Mailbox
) -> None:
    mailbox.refusals["bob@example.com"] = ["450 greylisted", "450 greylisted"]

    announce(start(), SUCCEEDED, BOTH)

    assert [delivery.recipients for delivery in mailbox.deliveries] == [["ann@example.com"], ["bob@example.com"]]
    assert mailbox.named == ["ann@example.com", *["bob@example.com"] * 3]
    assert len({delivery.mail["Message-ID"] for delivery in mailbox.deliveries}) == 1


def test_refused_recipient_is_named_and_the_others_get_the_mail(
    start: Callable[..., Settings], mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox.refusals["bob@example.com"] = ["550 no such mailbox"] * 2

    with pytest.raises(InputError, match=r"^to: .* refused bob@example.com \(550 no such mailbox\)\. Correct") as error:
        announce(start(), SUCCEEDED, BOTH)

    assert str(error.value).isprintable()
    assert [delivery.recipients for delivery in mailbox.deliveries] == [["ann@example.com"]]
    assert mailbox.named == ["ann@example.com", "bob@example.com"]
    assert capsys.readouterr().out == "image-scoring (run nightly-1-2) succeeded.\n"


def test_refused_sender_is_named(start: Callable[..., Settings], mailbox: Mailbox) -> None:
    mailbox.refusals[SENDER] = ["553 not yours"] * 2

    with pytest.raises(InputError, match=rf"^smtp_sender: .* refused {SENDER} \(553 not yours\)\."):
        announce(start(), SUCCEEDED, TO)

    assert mailbox.refusals[SENDER] == ["553 not yours"]


def test_refused_message_raises_one_sentence(start: Callable[..., Settings], mailbox: Mailbox) -> None:
    mailbox.data_refusals = ["554 looks like spam"] * 2

    with pytest.raises(InputError, match=r"^smtp_host: .* did not accept the message \(554 looks like spam\)\."):
        announce(start(), SUCCEEDED, TO)

    assert mailbox.data_refusals == ["554 looks like spam"]


def test_missing_server_is_named_after_retries() -> None:
    with socket.socket() as bound:
        # Bound, but it does not listen: connections are refused, and nobody else can take the port.
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        settings = Settings.load(smtp_host="127.0.0.1", smtp_port=port, smtp_sender=SENDER)

        with pytest.raises(InputError, match=rf"^smtp_host: the mail server '127.0.0.1:{port}' can't be reached \("):
            announce(settings, SUCCEEDED, TO)
