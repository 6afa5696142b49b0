"""`statements`: SQL and PL/pgSQL as PostgreSQL reads them."""

from __future__ import annotations

import pytest

from milepost.doctor.normalized import plannable
from milepost.doctor.statements import fingerprint, normalize, parse, parse_one, routine, split
from milepost.errors import InvalidInput

BODY = """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $x$
DECLARE r record; n int := 3;
BEGIN
  IF NEW.a IS DISTINCT FROM OLD.a THEN
    UPDATE totals SET n = n + 1 WHERE id = NEW.id;
    PERFORM pg_notify('x', 'y');
  ELSIF TG_OP = 'DELETE' THEN
    NULL;
  END IF;
  FOR r IN SELECT * FROM t LOOP INSERT INTO z VALUES (r.a); END LOOP;
  NEW.updated_at := now();
  EXECUTE format('DELETE FROM %I', 'q');
  RETURN NEW;
END $x$"""


def test_a_statement_says_what_it_touches() -> None:
    """Kinds, tables without CTEs, what is written, placeholders and functions."""
    read, written = parse("WITH c AS (SELECT 1) SELECT lower(a) FROM s.t, c WHERE b = $2;\nUPDATE x SET a = 1 FROM y")
    assert (read.kind, read.tables, read.placeholders, read.functions) == ("select", ("s.t",), 2, ("lower",))
    assert not read.writes and written.writes
    assert written.kind == "update" and written.tables == ("x", "y") and written.written == (("update", "x"),)
    assert written.text == "UPDATE x SET a = 1 FROM y"


def test_a_write_within_a_read_is_seen() -> None:
    """WITH … INSERT writes, though the statement is a SELECT."""
    found = parse_one("WITH i AS (INSERT INTO z SELECT 1 RETURNING *) SELECT * FROM i")
    assert found.kind == "select" and found.writes and found.written == (("insert", "z"),)


def test_a_mistake_has_its_place() -> None:
    """The parser's words, and the line."""
    with pytest.raises(InvalidInput, match=r"syntax error.*line 2"):
        parse("SELECT a\nFROM t WHERE")
    with pytest.raises(InvalidInput, match="2"):
        parse_one("SELECT 1; SELECT 2")


def test_texts_that_differ_in_constants_are_one() -> None:
    """As pg_stat_statements has them."""
    assert normalize("SELECT a FROM t WHERE b = 5") == "SELECT a FROM t WHERE b = $1"
    assert fingerprint("SELECT a FROM t WHERE b = 5") == fingerprint("select a  from t where b = 7")
    assert split("SELECT ';'; SELECT 2") == ("SELECT ';'", "SELECT 2")


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("SELECT 1 FROM é WHERE at > now() - interval $1", "SELECT 1 FROM é WHERE at > now() - $1::interval"),
        ("SELECT date $1, timestamp(3) $2", "SELECT $1::date, $2::timestamp(3)"),
        ("SELECT time with time zone $1 AS x", "SELECT $1::time with time zone AS x"),
        ('SELECT "char" $1, s."Odd t" $2, bit varying(5) $3', 'SELECT $1::"char", $2::s."Odd t", $3::bit varying(5)'),
        ("SELECT interval $1 day * 2, interval(0) $2", "SELECT ($1 || ' day')::interval day * 2, $2::interval(0)"),
        ("SELECT interval $1 second(2) s", "SELECT ($1 || ' second')::interval second(2) s"),
        ("SELECT interval $1 day to second(3)", "SELECT $1::interval day to second(3)"),
        ("SELECT date -- of $2\n $1", "SELECT $1::date"),
        (
            "SELECT date_trunc($1, at), count(*) FROM t GROUP BY date_trunc('day', at) ORDER BY date_trunc('day', at), 1",
            "SELECT date_trunc($1, at), count(*) FROM t GROUP BY date_trunc($1, at) ORDER BY date_trunc($1, at), 1",
        ),
        (
            "SELECT f(a, $1), f(a, $2) FROM t GROUP BY f(a, 1), f(a, 2), f(a, 3)",
            "SELECT f(a, $1), f(a, $2) FROM t GROUP BY f(a, $1), f(a, $2), f(a, 3)",
        ),
        (
            "SELECT count(*) FROM t GROUP BY date_trunc('day', at) ORDER BY date_trunc($1, at) DESC",
            "SELECT count(*) FROM t GROUP BY date_trunc($1, at) ORDER BY date_trunc($1, at) DESC",
        ),
        (
            "SELECT extract($1 FROM at), at + interval $2 FROM t GROUP BY ROLLUP (extract(year FROM at), at + interval '1 day')",
            "SELECT pg_catalog.extract($1, at), at + $2::interval FROM t GROUP BY ROLLUP (pg_catalog.extract($1, at), at + $2::interval)",
        ),
        ("SELECT $1, a % $2 FROM t GROUP BY 1, a % 3, b % 3", "SELECT $1, a % $2 FROM t GROUP BY 1, a % $2, b % 3"),
        ("SELECT EXTRACT($1 FROM date $2)", "SELECT pg_catalog.extract($1, $2::date)"),
        *(
            (text, text)
            for text in (
                "SELECT 'date $1', \"date $1\", $$ date $1 $$ /* date $1 */ FROM t WHERE a = $1 -- date $1",
                "SELECT CAST($1 AS date), $2::date::text, extract(year FROM at), pg_catalog.extract($3, at), f($4)",
            )
        ),
    ],
)
def test_a_parameter_in_the_place_of_a_constant(text: str, again: str) -> None:
    """What PostgreSQL would not take becomes a cast or a call; what it takes stays as it is."""
    assert plannable(text) == again


def test_a_body_says_what_it_does() -> None:
    """A trigger function's statements, conditions, assignments, dynamic SQL and loops, hidden fields of NEW or not."""
    found = routine(BODY)
    assert found.statements == (
        "UPDATE totals SET n = n + 1 WHERE id = NEW.id",
        "SELECT pg_notify('x', 'y')",
        "SELECT * FROM t",
        "INSERT INTO z VALUES (r.a)",
    )
    assert found.conditions == ("NEW.a IS DISTINCT FROM OLD.a", "TG_OP = 'DELETE'")
    assert found.assigned == ("new.updated_at",) and found.loops
    assert found.dynamic == ("format('DELETE FROM %I', 'q')",)
    assert parse_one(found.statements[0]).written == (("update", "totals"),)
