"""The advice as findings: one for each index to make or to drop, with its cure as SQL and as an operation of a rollout."""

from __future__ import annotations

from typing import Any

from milepost.doctor.advisor.advice import Advice, Drop, Make
from milepost.doctor.advisor.index import Index
from milepost.doctor.advisor.prove import Proven
from milepost.doctor.finding import Cure, Finding

__all__ = ["findings_of", "operation_of"]

CRITICAL_SHARE = 0.5  # of the workload's cost


def findings_of(advice: Advice, proven: Proven | None = None) -> list[Finding]:
    """The one that saves most first. proven: what was measured; an index that it vetoed is no finding."""
    total = max(advice.before, 1e-9)
    ordered = sorted(advice.make, key=lambda make: -make.saves)
    kept = [make for make in ordered if proven is None or make.index in proven.kept.values()]
    made = [_made(make, make.saves / total, proven) for make in kept]
    return [*made, *(_dropped(drop) for drop in advice.drop)]


def operation_of(index: Index) -> dict[str, Any]:
    """As `create_index` of a rollout's file."""
    optional = {
        "include": [_unquoted(name) for name in index.include],
        "where": index.where,
        "method": index.method if index.method != "btree" else None,
    }
    required = {"operation": "create_index", "table": index.table, "columns": list(index.keys), "name": index.name}
    return required | {name: value for name, value in optional.items() if value}


def _unquoted(name: str) -> str:
    """As the catalogue has it, which is what a rollout's file names."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _made(make: Make, share: float, proven: Proven | None) -> Finding:
    index = make.index
    proofs = [proven.proofs[name] for name in make.helps if name in proven.proofs] if proven is not None else []
    measured = {
        proof.statement: {
            "before_ms": round(proof.before_ms, 4),
            "after_ms": round(proof.after_ms, 4),
            "ratio": round(proof.ratio, 4),
            "interval": [round(proof.low, 4), round(proof.high, 4)],
            **({"doubt": proof.doubt} if proof.doubt else {}),
        }
        for proof in proofs
    }
    return Finding(
        check="index_missing",
        severity="warning" if share < CRITICAL_SHARE else "critical",
        object=str(index),
        detail=f"An index on {index} would save {share:.0%} of the workload's cost, in {len(make.helps)} of its statements."
        + "".join(f" No measured promise for {proof.statement}: {proof.doubt}." for proof in proofs if proof.doubt),
        cure=_cure(make),
        evidence={
            "saved_share": round(share, 4),
            "estimated_bytes": make.size.bytes,
            "statements": {name: [round(cost, 2) for cost in costs] for name, costs in make.helps.items()},
            **({"measured": measured} if proven is not None else {}),
        },
    )


def _cure(make: Make) -> Cure:
    """Of a partitioned table there is no one statement: a rollout builds it part by part."""
    index, size = make.index, f"{make.size.bytes / 1e6:.1f} MB"
    if make.leaves:
        text = f"Make the index ({size}), on each of {make.leaves} partitions concurrently: `milepost rollout run`."
        return Cure(text=text, operation=operation_of(index))
    statement = index.definition(index.name, concurrently=True)
    return Cure(text=f"Make the index ({size}).", statements=(statement,), operation=operation_of(index))


def _dropped(drop: Drop) -> Finding:
    index = drop.existing.index
    assert index.existing is not None
    why = (
        f"{index.existing} does nothing that {drop.instead.existing or f'the index on {drop.instead}'} does not do."
        if drop.instead is not None
        else f"Nobody has scanned {index.existing} since statistics were reset, and no statement of the workload would."
    )
    return Finding(
        check="index_redundant" if drop.instead is not None else "index_unused",
        severity="notice",
        object=index.existing,
        detail=why,
        cure=Cure(
            text=f"Drop the index ({drop.bytes / 1e6:.1f} MB, and what each write pays for it).",
            statements=(index.removal_of(index.existing),),
            operation={"operation": "drop_index", "index": index.existing},
        ),
        evidence={"bytes": drop.bytes, "definition": drop.existing.definition},
    )
