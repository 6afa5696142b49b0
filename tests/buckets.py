"""How the buckets of `fix_objects` are reached."""

from __future__ import annotations

from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import rsa

from gcs_server import account_key, service_account

__all__ = ["AZURE_ACCOUNT", "AZURE_KEY", "BUCKET", "KEY", "SECRET", "azure_url", "bucket_url", "gcs_url", "s3_url"]

BUCKET, KEY, SECRET = "milepost", "some-key", "some-secret"
# Those that every Azurite has, and says in its documentation.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def s3_url(port: int, *, folder: str = "", secret: str = SECRET) -> str:
    options = {
        "aws_endpoint": f"http://127.0.0.1:{port}",
        "aws_access_key_id": KEY,
        "aws_secret_access_key": secret,
        "aws_region": "us-east-1",
        "allow_http": "true",
    }
    return f"s3://{BUCKET}/{folder}?{urlencode(options)}"


def azure_url(port: int, *, folder: str = "", key: str = AZURE_KEY) -> str:
    options = {
        "account_name": AZURE_ACCOUNT,
        "account_key": key,
        "endpoint": f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}",
        "allow_http": "true",
    }
    return f"az://{BUCKET}/{folder}?{urlencode(options)}"


def gcs_url(port: int, *, folder: str = "", key: rsa.RSAPrivateKey | None = None) -> str:
    options = {"service_account_key": service_account(key or account_key(), port), "allow_http": "true"}
    return f"gs://{BUCKET}/{folder}?{urlencode(options)}"


def bucket_url(kind: str, port: int, folder: str) -> str:
    """kind: `s3`, `azure` or `gcs`, as the fixture is named."""
    match kind:
        case "azure":
            return azure_url(port, folder=folder)
        case "gcs":
            return gcs_url(port, folder=folder)
        case _:
            return s3_url(port, folder=folder)
