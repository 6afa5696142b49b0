"""What an examination says, for each reader: a terminal, a program (JSON), a page (HTML), a document (Markdown)."""

from milepost.doctor.report.answer import Answer, answer_of, schema

__all__ = ["Answer", "answer_of", "schema"]
