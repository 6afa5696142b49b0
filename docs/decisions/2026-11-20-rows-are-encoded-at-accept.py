"""Measures what 2026-11-20-rows-are-encoded-at-accept.md says: how a batch gets into the stage table."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from milepost.demo import model_text
from milepost.demo.systems import sample_of
from milepost.intake import _rows
from milepost.intake.accept import Acceptor
from milepost.model import parse_model
from milepost.postgres import Connection, Database, EmbeddedServer
from milepost.schema.compile import compile_model

ROWS = 20_000
TURNS = 7
TAKE_APART = """
INSERT INTO stage (id, occurred_at, actor, group_name, verb, object_kind, object_id, source, key, data,
    m_distance_m, m_duration_s, m_climb_m)
SELECT gen_random_uuid(), a.occurred_at, a.actor, a."group", a.verb, a.object->>'kind', a.object->>'id', a.source, a.key,
    a.data, ((a.measures->>'distance_m')::numeric * 10)::bigint, (a.measures->>'duration_s')::bigint,
    ((a.measures->>'climb_m')::numeric * 10)::bigint
FROM jsonb_to_recordset(%s::jsonb) AS a (occurred_at timestamptz, actor text, "group" text, verb text, object jsonb,
    source text, key text, data jsonb, measures jsonb)
"""


async def copied(owner: Connection, statement: str, rows: list[bytes]) -> float:
    began = time.perf_counter()
    async with owner.transaction(), owner.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        await copy.write(_rows.COPY_HEADER)
        for part in rows:
            await copy.write(part)
        await copy.write(_rows.COPY_TRAILER)
    return time.perf_counter() - began


async def taken_apart(owner: Connection, text: str) -> float:
    began = time.perf_counter()
    async with owner.transaction():
        await owner.execute(TAKE_APART.encode(), [text])
    return time.perf_counter() - began


async def measure() -> None:
    model = parse_model(model_text("fitness"))
    compiled, acceptor, now = compile_model(model).activity, Acceptor(model, 1), datetime.now(UTC)
    activities = list(sample_of("fitness", anchor=now, size=ROWS).activities())
    bodies = [msgspec.json.encode({"activities": activities[at : at + 100]}) for at in range(0, ROWS, 100)]
    began = time.process_time()
    payloads = [_rows.open_payload(acceptor.accept(1, body, now).payload) for body in bodies]
    accept_us = (time.process_time() - began) / ROWS * 1e6
    statement = compiled.copy.format(columns=payloads[0].header.columns)
    text = msgspec.json.encode(activities).decode()
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer.start(Path(folder)) as server:
        async with await Database.connect_owner(server.url()) as owner:
            for ddl in compiled.temp_ddl:
                await owner.execute(ddl.encode())
            turns = [
                (await copied(owner, statement, [one.rows for one in payloads]), await taken_apart(owner, text))
                for _ in range(TURNS)
            ]
    rows_ms, json_ms = (median(column) * 1e3 for column in zip(*turns, strict=True))
    print(f"{ROWS} activities: accept {accept_us:.1f} µs each; binary rows {rows_ms:.0f} ms, JSON {json_ms:.0f} ms")


if __name__ == "__main__":
    asyncio.run(measure())
