"""Messages that S3, Azure's Event Grid and Google Cloud Storage send about files."""

import json
from urllib.parse import quote, quote_plus


def s3_event(bucket: str, key: str, name: str = "ObjectCreated:Put") -> str:
    """Return an event notification of S3."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/"), "size": 1, "eTag": "0"}},
    }
    return json.dumps({"Records": [record]})


def s3_through_sns(bucket: str, key: str) -> str:
    """Return an event notification of S3 as SNS delivers it to a queue."""
    return json.dumps({"Type": "Notification", "TopicArn": "arn:topic", "Message": s3_event(bucket, key)})


def s3_through_event_bridge(bucket: str, key: str) -> str:
    """Return an event of S3 as EventBridge delivers it to a queue."""
    detail = {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "etag": "0"}, "reason": "PutObject"}
    return json.dumps({"version": "0", "source": "aws.s3", "detail-type": "Object Created", "detail": detail})


def azure_event(
    account: str, container: str, name: str, kind: str = "Microsoft.Storage.BlobCreated", cloud_event: bool = False
) -> str:
    """Return an event of Event Grid in its own schema or as a CloudEvent."""
    topic = f"/subscriptions/0/resourceGroups/group/providers/Microsoft.Storage/storageAccounts/{account}"
    url = f"https://{account}.blob.core.windows.net/{container}/{quote(name)}"
    return json.dumps(
        {
            ("source" if cloud_event else "topic"): topic,
            "subject": f"/blobServices/default/containers/{container}/blobs/{name}",
            ("type" if cloud_event else "eventType"): kind,
            "id": "0",
            "data": {"api": "PutBlob", "blobType": "BlockBlob", "url": url},
        }
    )


def google_event(bucket: str, name: str, kind: str = "OBJECT_FINALIZE") -> str:
    """Return the attributes of a notification of Google Cloud Storage."""
    return json.dumps(
        {
            "bucketId": bucket,
            "eventTime": "2026-11-30T09:00:00.000000Z",
            "eventType": kind,
            "notificationConfig": f"projects/_/buckets/{bucket}/notificationConfigs/1",
            "objectGeneration": "1",
            "objectId": name,
            "payloadFormat": "NONE",
        }
    )
