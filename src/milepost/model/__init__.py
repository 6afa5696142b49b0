"""The model: what a user of milepost declares in TOML, read and checked once, as frozen values.

    model = parse_model(text, "model.toml")      # ModelError names every mistake with its line
    change = diff_models(old, model, text=text)  # what applying it to a live database means, and what cannot be

`docs/model.md` is the reference of the language. `milepost.schema` compiles a `Model` to SQL; nothing here knows SQL.
"""

from __future__ import annotations

from milepost.model._canonical import definition_hash, model_fingerprint, to_json
from milepost.model._change import ModelChange, SectionChange, diff_models
from milepost.model._check_reports import MEMBERS
from milepost.model._derived import REPORT_DAYS_MAX, WEEKDAYS
from milepost.model._parse import parse_model
from milepost.model._problems import RULES, ModelError, Problem
from milepost.model._report_values import PERCENTILES, ReportValue, read_report_value
from milepost.model._time_zones import time_zones
from milepost.model._types import (
    Board,
    Content,
    Field,
    FileRule,
    Goal,
    GroupKind,
    Health,
    Keep,
    Latest,
    Map,
    Measure,
    Model,
    Pair,
    Pending,
    Report,
    Rollup,
    Snapshots,
    Term,
    Value,
    Verb,
)

__all__ = [
    "MEMBERS",
    "PERCENTILES",
    "REPORT_DAYS_MAX",
    "RULES",
    "WEEKDAYS",
    "Board",
    "Content",
    "Field",
    "FileRule",
    "Goal",
    "GroupKind",
    "Health",
    "Keep",
    "Latest",
    "Map",
    "Measure",
    "Model",
    "ModelChange",
    "ModelError",
    "Pair",
    "Pending",
    "Problem",
    "Report",
    "ReportValue",
    "Rollup",
    "SectionChange",
    "Snapshots",
    "Term",
    "Value",
    "Verb",
    "definition_hash",
    "diff_models",
    "model_fingerprint",
    "parse_model",
    "read_report_value",
    "time_zones",
    "to_json",
]
