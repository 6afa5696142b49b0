"""The operations by their word in files, one module each."""

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations.create_index import CreateIndex
from milepost.doctor.rollout.operations.drop_index import DropIndex

__all__ = ["OPERATIONS"]

OPERATIONS: dict[str, type[Operation]] = {
    operation.kind: operation
    for operation in (
        CreateIndex,
        DropIndex,
    )
}
