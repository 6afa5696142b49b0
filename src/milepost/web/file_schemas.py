"""The shapes of files in the API's description. `FileIn` is also how a request is read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = ["FileCompleted", "FileIn", "FileShown", "FileUpload", "UploadShown"]

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="In hexadecimal digits.")]


class FileIn(Struct, forbid_unknown_fields=True):
    """A file that is to be uploaded, by a rule that the model has for the verb."""

    verb: Annotated[str, Meta(description="The verb of the activity that is to name it.")]
    name: Annotated[str, Meta(description="As the model declares it: `verbs.VERB.files.NAME`.")]
    type: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$",
            description="Its media type, in small letters and without parameters.",
        ),
    ]
    bytes: Annotated[int, Meta(ge=1, le=2**53, description="How large it is.")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="Of what it holds, if it is to be compared.")] | None = (
        None
    )
    filename: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=255,
                pattern="^[^\\x00-\\x1f/\\\\]+$",
                description="As what it is saved by who reads it.",
            ),
        ]
        | None
    ) = None


class UploadShown(Struct):
    """A PUT of the file's bytes to `url`, with `headers`, that begins before `until`. No key is needed. A `url` that begins with a slash is the
    server's own."""

    method: str
    url: str
    headers: dict[str, str]
    until: datetime


class FileUpload(Struct):
    id: str
    upload: UploadShown


class FileShown(Struct):
    """A file. `link`: where anybody may read it, for a quarter of an hour; a page can show it."""

    id: str
    verb: str
    name: str
    type: str
    bytes: int
    complete: bool
    filename: str | UnsetType = UNSET
    link: str | UnsetType = UNSET


class FileCompleted(FileShown, kw_only=True):
    """ticket: names the file in an activity, for a day unless it was set otherwise. Asked again, there is another one."""

    ticket: str
