"""`narrow_trigger`: a trigger that fires only where it has something to do.

    operation = "narrow_trigger"
    table = "public.orders"
    trigger = "orders_audit"
    update_of = ["status"]                                    # of an UPDATE, only if it names one of these columns
    when = "OLD.status IS DISTINCT FROM NEW.status"           # only for rows (or statements) where this is true

PostgreSQL replaces it in one moment (CREATE OR REPLACE TRIGGER), so that no write passes without either.
"""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec

from milepost.doctor.rollout.columns import require_columns
from milepost.doctor.rollout.names import quoted
from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._triggers import Trigger, made, trigger_of
from milepost.doctor.rollout.work import Work
from milepost.errors import Conflict

__all__ = ["NarrowTrigger"]

# pg_get_triggerdef writes: CREATE TRIGGER name BEFORE INSERT OR UPDATE [OF a, b] ON t … FOR EACH ROW [WHEN (…)] EXECUTE FUNCTION f()
UPDATE = re.compile(r"\bUPDATE\b(?: OF .+?)?(?= OR | ON )")
CONDITION = re.compile(r"(FOR EACH (?:ROW|STATEMENT)) (?:WHEN \(.*\) )?(EXECUTE FUNCTION )", re.DOTALL)


class NarrowTrigger(Operation, frozen=True, kw_only=True):
    """Reversible at any time, from its definition."""

    kind: ClassVar[str] = "narrow_trigger"
    locks: ClassVar[str] = "SHARE ROW EXCLUSIVE, briefly (reads go on)"

    table: str
    trigger: str
    update_of: list[str] = msgspec.field(default_factory=list)
    when: str | None = None

    def check(self, where: str) -> None:
        if not self.update_of and self.when is None:
            raise self.refuse(where, "give `update_of`, `when` or both.")

    def describe(self) -> str:
        return f"narrow trigger {self.trigger} of {self.table}"

    async def validate(self, work: Work) -> None:
        table = await work.table(self.table)
        require_columns(table, self.update_of)
        self._narrowed(await trigger_of(work, table, self.trigger))

    async def start(self, work: Work) -> None:
        table = await work.table(self.table)
        if "definition" not in work.memory:
            found = await trigger_of(work, table, self.trigger)
            kept = {"definition": found.definition, "enabled": found.enabled}
            narrowed = made(table, self.trigger, self._narrowed(found), found.enabled)
            await work.briefly(*narrowed, lock="share_row_exclusive", tables=(table,), remember=kept)
        await work.step("narrowed")

    async def roll_back(self, work: Work) -> None:
        if "definition" in work.memory:
            table = await work.table(self.table)
            again = made(table, self.trigger, work.memory["definition"], work.memory["enabled"])
            await work.briefly(*again, lock="share_row_exclusive", tables=(table,))
        await work.step("as it was")

    def _narrowed(self, found: Trigger) -> str:
        start = len(f"CREATE TRIGGER {found.quoted}")
        head, tail = found.definition[:start], found.definition[start:]
        if self.update_of:
            columns = ", ".join(quoted(column) for column in self.update_of)
            tail, count = UPDATE.subn(lambda _: f"UPDATE OF {columns}", tail, count=1)
            if not count:
                raise Conflict(f"The trigger {self.trigger} does not fire on UPDATE.", trigger=self.trigger)
        if self.when is not None:
            tail = CONDITION.sub(lambda found: f"{found[1]} WHEN ({self.when}) {found[2]}", tail, count=1)
        return head + tail
