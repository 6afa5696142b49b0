"""A ready configuration for a server: what the checks of settings would have otherwise, each with its reason, as a file to include.

Pool sizes and timeouts that belong to applications stand in it as comments: they are set where those connect, or by ALTER ROLE.
"""

from __future__ import annotations

from collections.abc import Iterator

from milepost.doctor.checks import CHECKS
from milepost.doctor.checks.check import GIB
from milepost.doctor.examine import examine
from milepost.doctor.machine import Machine
from milepost.doctor.target import Target

__all__ = ["configuration_of"]


async def configuration_of(target: Target, machine: Machine) -> str:
    """Text of a file for `include` in postgresql.conf."""
    seen = await examine(target, checks=[check for check in CHECKS if check.area == "settings"], machine=machine)
    lines = list(_head(seen.machine))
    for finding in seen.findings:
        if "better" in finding.evidence:
            again = "  # when the server is started again" if "started again" in finding.cure.text else ""
            elsewhere = finding.cure.text.partition(f"to {finding.evidence['better']}. ")[2]
            lines += [f"# {elsewhere}"] if elsewhere and not again else []
            lines += [f"# {finding.detail}", f"{finding.object} = '{finding.evidence['better']}'{again}", ""]
    if len(lines) <= 3:
        lines += ["# Nothing to change.", ""]
    return "\n".join([*lines, *_applications(seen.machine)]) + "\n"


def _head(machine: Machine) -> Iterator[str]:
    memory = f"{machine.memory_bytes / GIB:.1f} GiB" if machine.memory_bytes else "memory not known"
    yield f"# For a machine with {memory}, {machine.cores or 'an unknown number of'} cores and {machine.disk} ({machine.source})."
    yield "# Put it beside postgresql.conf, add \"include = 'milepost.conf'\" as its last line, then SELECT pg_reload_conf()."
    yield ""


def _applications(machine: Machine) -> Iterator[str]:
    pool = max(4, 2 * (machine.cores or 4) + 1)
    yield "# Pools: all applications together, or a pool before the server (pgbouncer, pool_mode = transaction):"
    yield f"#   connections at work at once: {pool}  (two for each core, and one)"
    yield f"#   per application with two processes: min {max(1, pool // 4)}, max {max(2, pool // 2)}; wait for one at most 5 s"
    yield "# Timeouts, by role, since maintenance and reports need others:"
    yield "#   ALTER ROLE app SET statement_timeout = '30s';"
    yield "#   ALTER ROLE app SET lock_timeout = '5s';"
    yield "#   ALTER ROLE app SET idle_in_transaction_session_timeout = '60s';"
    yield "#   ALTER ROLE reports SET statement_timeout = '15min';"
