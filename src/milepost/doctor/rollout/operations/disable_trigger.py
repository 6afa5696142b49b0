"""`disable_trigger`: a trigger that no longer fires, and can be switched on again.

operation = "disable_trigger"
table = "public.orders"
trigger = "orders_audit"
"""

from __future__ import annotations

from typing import ClassVar

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations._triggers import DISABLED, switched, trigger_of
from milepost.doctor.rollout.work import Work

__all__ = ["DisableTrigger"]


class DisableTrigger(Operation, frozen=True, kw_only=True):
    """Reversible at any time; what was written meanwhile has not fired it."""

    kind: ClassVar[str] = "disable_trigger"
    locks: ClassVar[str] = "SHARE ROW EXCLUSIVE, briefly (reads go on)"

    table: str
    trigger: str

    def describe(self) -> str:
        return f"disable trigger {self.trigger} of {self.table}"

    async def validate(self, work: Work) -> None:
        await trigger_of(work, await work.table(self.table), self.trigger)

    async def start(self, work: Work) -> None:
        table = await work.table(self.table)
        if "enabled" not in work.memory:
            found = await trigger_of(work, table, self.trigger)
            switch = switched(table, self.trigger, DISABLED)
            await work.briefly(switch, lock="share_row_exclusive", tables=(table,), remember={"enabled": found.enabled})
        await work.step("disabled")

    async def roll_back(self, work: Work) -> None:
        if "enabled" in work.memory:
            table = await work.table(self.table)
            await work.briefly(
                switched(table, self.trigger, work.memory["enabled"]), lock="share_row_exclusive", tables=(table,)
            )
        await work.step("as it was")
