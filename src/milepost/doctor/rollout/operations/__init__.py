"""The operations by their word in files, one module each."""

from milepost.doctor.rollout.operation import Operation
from milepost.doctor.rollout.operations.add_check import AddCheck
from milepost.doctor.rollout.operations.add_column import AddColumn
from milepost.doctor.rollout.operations.add_foreign_key import AddForeignKey
from milepost.doctor.rollout.operations.add_key import AddKey
from milepost.doctor.rollout.operations.alter_sequence import AlterSequence
from milepost.doctor.rollout.operations.analyze import Analyze
from milepost.doctor.rollout.operations.change_type import ChangeType
from milepost.doctor.rollout.operations.create_extension import CreateExtension
from milepost.doctor.rollout.operations.create_index import CreateIndex
from milepost.doctor.rollout.operations.create_partitions import CreatePartitions
from milepost.doctor.rollout.operations.create_statistics import CreateStatistics
from milepost.doctor.rollout.operations.disable_trigger import DisableTrigger
from milepost.doctor.rollout.operations.drop_index import DropIndex
from milepost.doctor.rollout.operations.drop_trigger import DropTrigger
from milepost.doctor.rollout.operations.narrow_trigger import NarrowTrigger
from milepost.doctor.rollout.operations.partition_table import PartitionTable
from milepost.doctor.rollout.operations.refresh_view import RefreshView
from milepost.doctor.rollout.operations.reindex import Reindex
from milepost.doctor.rollout.operations.rewrite_table import RewriteTable
from milepost.doctor.rollout.operations.set_not_null import SetNotNull
from milepost.doctor.rollout.operations.set_options import SetOptions
from milepost.doctor.rollout.operations.set_setting import SetSetting
from milepost.doctor.rollout.operations.vacuum import Vacuum
from milepost.doctor.rollout.operations.validate_constraint import ValidateConstraint

__all__ = ["OPERATIONS"]

OPERATIONS: dict[str, type[Operation]] = {
    operation.kind: operation
    for operation in (
        CreateIndex,
        DropIndex,
        Reindex,
        AddColumn,
        AddCheck,
        ValidateConstraint,
        AddForeignKey,
        AddKey,
        SetNotNull,
        ChangeType,
        DisableTrigger,
        DropTrigger,
        NarrowTrigger,
        PartitionTable,
        RewriteTable,
        CreatePartitions,
        AlterSequence,
        RefreshView,
        Vacuum,
        Analyze,
        CreateStatistics,
        CreateExtension,
        SetOptions,
        SetSetting,
    )
}
