"""Reports: named questions that the model declares, answered from what a load has derived.

`read` asks and answers; `span` is the days that a report is about; `of_rollup`, `of_latest`, `of_pairs`, `of_pending` and `of_members`
know one source each, as SQL; `formulas` says in words what each value is. Nothing here writes, and nothing is kept: a report is as
current as the rows that it reads, which are those of the last load.
"""
