"""Test the names of new files in the messages of S3, of Event Grid and of Google Cloud Storage."""

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest_images.discovery.messages import PoisonMessageError, new_files
from tests.support.store_events import azure_event, google_event, s3_event, s3_through_event_bridge, s3_through_sns

S3 = "s3a://landing/2026"
AZURE = "abfss://landing@account.dfs.core.windows.net/2026"
GOOGLE = "gs://landing/2026"
names = st.text(st.sampled_from("ab /%+é\u0301:日\U0001f600"), min_size=1, max_size=8).filter(
    lambda name: not name.endswith("/")
)


@given(names, st.sampled_from([s3_event, s3_through_sns, s3_through_event_bridge]))
def test_name_in_an_s3_message_is_unchanged(name: str, event: Callable[[str, str], str]) -> None:
    assert new_files(event("landing", f"2026/{name}"), S3) == [name]


@given(names, st.booleans(), st.booleans())
def test_name_in_an_azure_message_is_unchanged(name: str, encoded: bool, cloud_event: bool) -> None:
    body = azure_event("account", "landing", f"2026/{name}", cloud_event=cloud_event)

    assert new_files(base64.b64encode(body.encode()).decode() if encoded else body, AZURE) == [name]


@given(names)
def test_name_in_a_google_message_is_unchanged(name: str) -> None:
    assert new_files(google_event("landing", f"2026/{name}"), GOOGLE) == [name]


def test_several_events_in_a_message_are_all_read() -> None:
    events = [json.loads(azure_event("account", "landing", f"2026/{name}")) for name in "ab"]
    records = [json.loads(s3_event("landing", f"2026/{name}"))["Records"][0] for name in "ab"]

    assert new_files(json.dumps(events), AZURE) == ["a", "b"]
    assert new_files(json.dumps({"Records": records}), S3) == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "source"),
    [
        (json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "landing"}), S3),
        (s3_event("landing", "2026/a.jpg", "ObjectRemoved:Delete"), S3),
        (s3_event("landing", "2026/folder/"), S3),
        (azure_event("account", "landing", "2026/a.jpg", "Microsoft.Storage.BlobDeleted"), AZURE),
        (google_event("landing", "2026/a.jpg", "OBJECT_DELETE"), GOOGLE),
        (google_event("landing", "2026/a.jpg", "OBJECT_METADATA_UPDATE"), GOOGLE),
        (google_event("landing", "2026/folder/"), GOOGLE),
    ],
)
def test_other_events_have_no_new_file(body: str, source: str) -> None:
    assert new_files(body, source) == []


@pytest.mark.parametrize(
    ("body", "source", "reason"),
    [
        ("", S3, "not JSON"),
        ("not JSON", AZURE, "not JSON"),
        ("[" * 100_000, S3, "not JSON"),
        ("7", S3, "not an event"),
        ("{}", S3, "not an event"),
        ("[]", S3, "not an event"),
        ('{"Type": "Notification", "Message": "x"}', S3, "not JSON"),
        ('{"Records": [{"eventName": "ObjectCreated:Put"}]}', S3, "not an event"),
        (s3_event("other", "2026/a.jpg"), S3, "outside of the source: 's3a://other/2026/a.jpg'"),
        (s3_event("landing", "2027/a.jpg"), S3, "outside of the source"),
        (s3_event("landing", "2026a.jpg"), S3, "outside of the source"),
        ("null", AZURE, "not an event"),
        (azure_event("account", "other", "2026/a.jpg"), AZURE, "outside of the source"),
        (azure_event("another", "landing", "2026/a.jpg"), AZURE, "another storage account"),
        ('{"eventType": "OBJECT_FINALIZE"}', GOOGLE, "not an event"),
        ("[]", GOOGLE, "not an event"),
        (google_event("other", "2026/a.jpg"), GOOGLE, "outside of the source: 'gs://other/2026/a.jpg'"),
        ('{"eventType": "Microsoft.Storage.BlobCreated", "subject": "x"}', AZURE, "no blob in the subject"),
    ],
)
def test_poison_message_has_a_reason(body: str, source: str, reason: str) -> None:
    with pytest.raises(PoisonMessageError, match=reason):
        new_files(body, source)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["Records", "eventName", "s3", "Type", "Message", "eventType", "subject", "detail-type"]
                ),
                inner,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(content: object) -> None:
    for source in (S3, AZURE, GOOGLE):
        try:
            found = new_files(json.dumps(content), source)
        except PoisonMessageError:
            continue
        assert found == []
