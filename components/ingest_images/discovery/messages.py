"""Read the names of new files from the messages of a queue."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus, urlsplit

_AZURE_SUBJECT = re.compile(r"/blobServices/default/containers/([^/]+)/blobs/(.+)", re.DOTALL)
_AZURE_CREATED = "Microsoft.Storage.BlobCreated"
_GOOGLE_CREATED = "OBJECT_FINALIZE"
_AZURE_ACCOUNT = re.compile(r"/storageAccounts/([^/]+)", re.IGNORECASE)


class PoisonMessageError(ValueError):
    """A message that is no event of the source. Its text is the reason."""


def new_files(body: str, source: str) -> list[str]:
    """Return the names of the new files of a message, relative to the source. Other events have none.

    It reads S3 notifications (of S3 itself, and through SNS or EventBridge), events of Event Grid (its own schema and
    CloudEvents) as JSON or in base64, and the attributes of Google Cloud Storage's notifications.

    Args:
        body: Body of the message.
        source: Normalized URI of the landing folder, `s3a://...`, `abfss://...` or `gs://...`.

    Raises:
        PoisonMessageError: The body is no JSON, no event of a store, or about a file outside of the source.
    """
    try:
        content = _decode(body)
        uris = list(_uris(content, source))
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise PoisonMessageError(f"not an event of a store: {type(error).__name__} {error}") from None
    outside = [uri for uri in uris if not uri.startswith(f"{source}/")]
    if outside:
        raise PoisonMessageError(f"outside of the source: '{outside[0]}'")
    names = (uri.removeprefix(f"{source}/") for uri in uris)
    return [name for name in names if name and not name.endswith("/")]


def _uris(content: Any, source: str) -> Iterator[str]:
    if source.startswith("s3a:"):
        return _s3_files(content)
    return _google_files(content) if source.startswith("gs:") else _azure_files(content, source)


def _decode(body: str) -> Any:
    for text in (body, _from_base64(body)):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            continue
    raise PoisonMessageError("not JSON")


def _from_base64(body: str) -> str:
    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _s3_files(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the URIs of the objects that an S3 notification reports as created."""
    if content.get("Type") == "Notification" and "Message" in content:
        content = _decode(content["Message"])
    if content.get("Event") == "s3:TestEvent":
        return
    if "detail-type" in content:
        if content["detail-type"] == "Object Created":
            yield f"s3a://{content['detail']['bucket']['name']}/{content['detail']['object']['key']}"
        return
    for record in content["Records"]:
        if record["eventName"].startswith("ObjectCreated:"):
            # Only S3's own notifications encode the key.
            yield f"s3a://{record['s3']['bucket']['name']}/{unquote_plus(record['s3']['object']['key'])}"


def _azure_files(content: Any, source: str) -> Iterator[str]:
    """Yield the URIs of the blobs that Event Grid reports as created, with the host of the source."""
    host = urlsplit(source).hostname or ""
    account = host.partition(".")[0]
    for event in content if isinstance(content, list) else [content]:
        if (event.get("eventType") or event["type"]) != _AZURE_CREATED:
            continue
        match = _AZURE_SUBJECT.fullmatch(event["subject"])
        if match is None:
            raise PoisonMessageError(f"no blob in the subject '{event['subject']}'")
        topic = _AZURE_ACCOUNT.search(event.get("topic") or event.get("source") or "")
        if topic is not None and topic[1].lower() != account:
            raise PoisonMessageError(f"of another storage account, '{topic[1]}'")
        yield f"abfss://{match[1]}@{host}/{match[2]}"


def _google_files(attributes: Mapping[str, str]) -> Iterator[str]:
    """Yield the URI of the object that a notification of Google Cloud Storage reports as created."""
    if attributes["eventType"] == _GOOGLE_CREATED:
        yield f"gs://{attributes['bucketId']}/{attributes['objectId']}"
