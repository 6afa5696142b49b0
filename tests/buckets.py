"""How the buckets of `fix_objects` are reached."""

from __future__ import annotations

from urllib.parse import urlencode

__all__ = ["BUCKET", "KEY", "SECRET", "s3_url"]

BUCKET, KEY, SECRET = "milepost", "some-key", "some-secret"


def s3_url(port: int, *, folder: str = "", secret: str = SECRET) -> str:
    options = {
        "aws_endpoint": f"http://127.0.0.1:{port}",
        "aws_access_key_id": KEY,
        "aws_secret_access_key": secret,
        "aws_region": "us-east-1",
        "allow_http": "true",
    }
    return f"s3://{BUCKET}/{folder}?{urlencode(options)}"
