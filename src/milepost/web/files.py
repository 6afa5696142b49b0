"""`/v1/files`: files that activities name: ask where to put one, say that it is there, read it.

Bytes go past us where the object store can sign URLs, and else through us, in pieces. Who may read an activity that names a file may read
the file; a key with the scope `read` reads all of its tenant's. While the store does not answer: 503, for files alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get, post, put
from litestar.params import PathParameter, QueryParameter
from litestar.response import Stream

from milepost.access.viewer import reader_of
from milepost.errors import Conflict, FieldError, InvalidInput, NotFound
from milepost.intake._verb_rows import explain
from milepost.storage.activities import by_ids
from milepost.storage.by_index import plan_by_index
from milepost.storage.file import Asked, File, Unfit
from milepost.storage.files import Upload
from milepost.web import file_schemas
from milepost.web.answers import answer, begun, matches, tagged
from milepost.web.bodies import ClientGone, drain, require_storable
from milepost.web.openapi import documented
from milepost.web.ranges import range_of
from milepost.web.request import ApiRequest, granted, granted_or_views, views, writes

__all__ = ["routes"]

NAMING_MAX = 100  # activities, of which a viewer must see one
IMMUTABLE = {"cache-control": "private, max-age=31536000, immutable", "x-content-type-options": "nosniff"}
# A file is shown alone, and nothing in it runs, whatever a browser makes of it.
ALONE = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "cross-origin-resource-policy": "cross-origin",
}

_decode = msgspec.json.Decoder(file_schemas.FileIn).decode

FileInPath = Annotated[UUID, PathParameter(description="The file's id.")]
Grant = Annotated[str | None, QueryParameter(name="grant", description="The signature of a URL that milepost has made.")]


@post(
    "/v1/files",
    guards=[writes],
    status_code=201,
    summary="Ask where to upload a file",
    description="Type and size must be as the model's rule for the verb and name says; 422 names what is not. Then PUT the bytes to "
    "`upload.url`, and POST to `/v1/files/{id}/complete`.",
    opt=documented("Files", file_schemas.FileUpload, body=file_schemas.FileIn),
)
async def ask(request: ApiRequest) -> Response[bytes]:
    asked, services = _asked(await request.whole_body()), request.services
    file_id, upload = await services.files.ask(services.db, request.user.tenant_id, services.models.current.model, asked)
    return answer({"id": file_id, "upload": _shown_upload(upload)}, status=201)


@post(
    "/v1/files/{file:uuid}/upload",
    guards=[writes],
    status_code=200,
    summary="Ask once more where to upload it",
    description="For one that was not uploaded in time. 409 once it is complete.",
    opt=documented("Files", file_schemas.FileUpload),
)
async def ask_again(request: ApiRequest, file: FileInPath) -> Response[bytes]:
    services = request.services
    upload = await services.files.ask_again(services.db, request.user.tenant_id, file)
    return answer({"id": file, "upload": _shown_upload(upload)})


@post(
    "/v1/files/{file:uuid}/complete",
    guards=[writes],
    status_code=200,
    summary="Say that a file is uploaded",
    description="Its size, its type and, where it was given, its SHA-256 are compared with what was asked for. 422 names what differs, and "
    'what was uploaded is gone; 409: nothing was. `ticket` names it in an activity: `"files": {"NAME": ["TICKET"]}`.',
    opt=documented("Files", file_schemas.FileCompleted),
)
async def complete(request: ApiRequest, file: FileInPath) -> Response[bytes]:
    services = request.services
    found, ticket = await services.files.complete(services.db, request.user.tenant_id, file)
    return answer(_shown(found) | {"link": await services.files.link(found), "ticket": ticket})


@get(
    "/v1/files/{file:uuid}",
    guards=[views],
    summary="A file, and a link to read it",
    description="A viewer sees it where it sees an activity that names it.",
    opt=documented("Files", file_schemas.FileShown),
)
async def read_file(request: ApiRequest, file: FileInPath) -> Response[bytes]:
    found = await _visible(request, file)
    shown = _shown(found)
    if found.complete:
        shown["link"] = await request.services.files.link(found)
    return tagged(request, shown)


@get(
    "/v1/files/{file:uuid}/data",
    guards=[granted_or_views],
    summary="What a file holds",
    description="302 to a signed URL of the object store, where that can sign; else the bytes, or a Range of them. They never change.",
    opt=documented("Files"),
)
async def read_data(request: ApiRequest, file: FileInPath, grant: Grant = None) -> Response[Any]:
    files = request.services.files
    if grant is not None:
        found = await files.find(request.services.db, request.state.tenant_id, file)
    else:
        found = await _visible(request, file)
    if not found.complete:
        raise NotFound("The file is not complete.")
    if files.store.signs:
        link = await files.link(found)
        return Response(b"", status_code=302, headers={"location": link, "cache-control": "private, no-store"})
    tag = f'"{found.file_id}"'
    headers = {
        **IMMUTABLE,
        **ALONE,
        "etag": tag,
        "content-disposition": found.disposition,
        "vary": "authorization, milepost-viewer",
    }
    if matches(request.headers.get("if-none-match"), tag):
        return Response(b"", status_code=304, headers=headers, media_type=found.media_type)
    status, start, end, ranged = range_of(request, tag, found.size)
    pieces = await begun(files.pieces(found, start, end))
    return Stream(pieces, status_code=status, headers=headers | ranged, media_type=found.media_type)


@put(
    "/v1/files/{file:uuid}/data",
    guards=[granted],
    status_code=200,
    summary="Upload a file",
    description="By the URL that asking for it has answered, where the object store cannot sign URLs of its own. With the file's own type.",
    opt=documented("Files", binary=True),
)
async def upload_data(request: ApiRequest, file: FileInPath, grant: Grant = None) -> Response[bytes]:
    services = request.services
    found = await services.files.find(services.db, request.state.tenant_id, file)
    if found.complete:
        raise Conflict("The file is complete, and never changes.")
    try:
        _expect(request, found)
        await services.files.receive(found, _pieces(request))
    except Unfit:
        await drain(request.receive)
        raise
    return answer(None)


async def _visible(request: ApiRequest, file: UUID) -> File:
    """The file, where whoever asks may see it. Raises `NotFound`."""
    services, tenant_id = request.services, request.user.tenant_id
    found = await services.files.find(services.db, tenant_id, file)
    if request.viewer.sees_all:
        return found
    naming = await services.files.named_by(services.db, tenant_id, file, rows_max=NAMING_MAX)
    served = services.models.current
    async with services.db.transaction("point", tenant_id=tenant_id, snapshot=True) as conn:
        reader = await reader_of(conn, tenant_id, request.viewer, served.model)
        await plan_by_index(conn, sorts=True)
        if not naming or not await by_ids(conn, tenant_id, naming, served.presenter, reader=reader):
            raise NotFound("There is no such file.")
    return found


def _asked(body: bytes) -> Asked:
    try:
        said = _decode(body)
        require_storable(body)
    except msgspec.ValidationError as error:
        raise InvalidInput(errors=(FieldError(*explain(str(error), unknown="is not known here")),)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("The body is not JSON.", errors=(FieldError("", str(error)),)) from error
    sha256 = None if said.sha256 is None else bytes.fromhex(said.sha256)
    return Asked(verb=said.verb, name=said.name, media_type=said.type, size=said.bytes, sha256=sha256, filename=said.filename)


def _expect(request: ApiRequest, file: File) -> None:
    """What a bucket would compare when it is complete, told before the bytes are sent. Raises `Unfit`."""
    length, said = request.headers.get("content-length"), request.headers.get("content-type", file.media_type)
    if length is not None and length != str(file.size):
        raise Unfit(errors=(FieldError("/bytes", f"{file.size} were said, and {length} are sent"),))
    if said != file.media_type:
        raise Unfit(errors=(FieldError("/type", f"{file.media_type} was said, and {said} is sent"),))


async def _pieces(request: ApiRequest) -> AsyncIterator[bytes]:
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


def _shown(file: File) -> dict[str, Any]:
    shown = {
        "id": file.file_id,
        "verb": file.verb,
        "name": file.name,
        "type": file.media_type,
        "bytes": file.size,
        "complete": file.complete,
    }
    return shown if file.filename is None else shown | {"filename": file.filename}


def _shown_upload(upload: Upload) -> dict[str, Any]:
    return {"method": "PUT", "url": upload.url, "headers": upload.headers, "until": upload.until}


routes = [ask, ask_again, complete, read_file, read_data, upload_data]
