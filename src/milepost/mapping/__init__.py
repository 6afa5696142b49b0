"""Mapping: how something of another shape, a row of a file or a message of another standard, becomes activities and entities.

`paths` looks into it, `values` makes one value, `entities` makes a whole activity, group, actor or member. What is written
in TOML is read and checked once and becomes closures; what runs per row is those alone. Import's maps (`milepost.importing`,
docs/import.md) and the model's (`milepost.model`, docs/standards.md) are both written in it.
"""
