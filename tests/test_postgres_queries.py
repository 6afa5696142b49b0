"""Named queries: what a file says, and what is wrong with one."""

from __future__ import annotations

import pytest

from milepost.postgres._queries import QueryFileError, load_queries, parse_queries

GOOD = """\
-- The queue's queries.

-- name: enqueue
-- One row a batch: 100 % insert-only.
INSERT INTO queue VALUES (%s, '-- not a comment', $$ /* nor this */ $$); -- but this is

-- name: poll
-- What is new since the last poll.
-- (It reads from xmax.)
SELECT /* all */ 1
  -- the batch
  FROM queue WHERE note = E'it\\'s -- so' AND "odd -- name" = 2
"""


def test_queries_are_found_by_name_without_comments() -> None:
    """A query's text has a mark with its name, no comment, and no last semicolon; literals are as they were."""
    queries = parse_queries(GOOD, "intake/queue.sql")
    assert list(queries) == ["enqueue", "poll"]
    assert queries.enqueue == (
        "/* intake/queue.enqueue */ INSERT INTO queue VALUES (%s, '-- not a comment', $$ /* nor this */ $$)"
    )
    assert queries["poll"] == (
        "/* intake/queue.poll */ SELECT 1\n  FROM queue WHERE note = E'it\\'s -- so' AND \"odd -- name\" = 2"
    )


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    """A misspelt name says which one may be meant; one that is like none, which there are."""
    queries = parse_queries(GOOD, "intake/queue.sql")
    with pytest.raises(AttributeError, match=r"no query enqeue in intake/queue.sql; did you mean enqueue\?"):
        _ = queries.enqeue
    with pytest.raises(KeyError, match="there are: enqueue, poll"):
        _ = queries["zzz"]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "no `-- name:`"),
        ("SELECT 1;", 1, "SQL before the first"),
        ("-- name: Bad-Name\n-- why\nSELECT 1", 1, "snake_case"),
        ("-- name: one\nSELECT 1", 1, "sentence of why"),
        ("-- name: one\n--\nSELECT 1", 1, "sentence of why"),
        ("\n-- name: one\n-- Only a comment.\n;", 2, "has no SQL"),
        ("-- name: one\n-- Why.\nSELECT 1\n-- name: one\n-- Why.\nSELECT 2", 4, "there twice"),
    ],
)
def test_a_file_that_is_not_well_formed_says_where(text: str, line: int, problem: str) -> None:
    """What is wrong with a query file is said with its line, when it is loaded."""
    with pytest.raises(QueryFileError, match=problem) as caught:
        parse_queries(text, "a.sql")
    assert (caught.value.file, caught.value.line) == ("a.sql", line)


def test_a_file_that_is_not_there_is_an_error() -> None:
    """A wrong file name fails at import, not at first use."""
    with pytest.raises(FileNotFoundError):
        load_queries("milepost.postgres", "nothing.sql")
