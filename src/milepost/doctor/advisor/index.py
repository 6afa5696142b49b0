"""An index that is there, or might be: what it is on, and how its definition reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

__all__ = ["Index", "plain_key"]

NAME_BYTES_MAX = 63
ENDINGS = (" NULLS LAST", " NULLS FIRST", " DESC", " text_pattern_ops", " gin_trgm_ops")


@dataclass(frozen=True, kw_only=True)
class Index:
    """table: as `regclass` prints it, qualified. keys, include: SQL of each, quoted; a key may be `(expression)` and may end in a
    class or an order. where: SQL. existing: its qualified name in the target; None of a candidate.
    """

    table: str
    keys: tuple[str, ...]
    include: tuple[str, ...] = ()
    where: str | None = None
    method: str = "btree"
    existing: str | None = None

    @property
    def name(self) -> str:
        """Unqualified, of the same length at most as PostgreSQL takes; of a candidate: from its table, keys and what is more."""
        if self.existing is not None:
            return self.existing.rpartition(".")[2]
        rest = "" if not (self.include or self.where or self.method != "btree") else self.method
        words = [self.table.rpartition(".")[2], *self.keys]
        plain = "_".join("".join(c if c.isalnum() else "_" for c in word).strip("_") for word in words).lower()
        mark = blake2b(self.definition("").encode(), digest_size=3).hexdigest() if rest or len(plain) > 48 else ""
        return "_".join(filter(None, [plain.encode()[: NAME_BYTES_MAX - 12].decode(errors="ignore"), mark, "idx"]))

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.keys, *self.include)

    def definition(self, name: str, *, concurrently: bool = False) -> str:
        """The statement that makes it; on a partitioned table it makes all its parts."""
        words = ["CREATE INDEX", "CONCURRENTLY" if concurrently else "", name, f"ON {self.table}"]
        words += [f"USING {self.method}" if self.method != "btree" else "", f"({', '.join(self.keys)})"]
        words += [f"INCLUDE ({', '.join(self.include)})" if self.include else "", f"WHERE {self.where}" if self.where else ""]
        return " ".join(filter(None, words))

    @property
    def schema(self) -> str:
        """`public.` of `public.orders`, where the index will lie, too; a quoted name may hold a dot."""
        at = self.table.rindex('."') if self.table.endswith('"') else self.table.rindex(".")
        return self.table[: at + 1]

    @staticmethod
    def removal_of(name: str) -> str:
        """The statement that drops one without waiting for those who read or write."""
        return f"DROP INDEX CONCURRENTLY IF EXISTS {name}"

    def same(self) -> Index:
        """What it is, whatever its name: two indexes are the same if these are equal."""
        return replace(self, existing=None)

    def serves(self, other: Index) -> bool:
        """Whether every lookup by `other` can be done by this one: its keys begin with those of `other`, and it has its columns."""
        return (
            self.table == other.table
            and self.method == other.method == "btree"
            and self.where == other.where
            and self.keys[: len(other.keys)] == other.keys
            and set(other.include) <= set(self.columns)
        )

    def __str__(self) -> str:
        return self.definition("").replace("CREATE INDEX ON ", "", 1)


def plain_key(key: str) -> str:
    """A key without its order and class."""
    for ending in ENDINGS:
        key = key.removesuffix(ending)
    return key
