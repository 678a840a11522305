"""The documents that the API answers with, from answers.toml, in OpenAPI's words."""

from pathlib import Path
from typing import Any

from compliance.intake.documents import DOCUMENTS, KINDS, read_documents

ANSWERS = read_documents(Path(__file__).parent / "answers.toml", KINDS)
ANSWER: dict[str, dict[str, Any]] = {name: answer.shown for name, answer in ANSWERS.items()}
SCHEMAS = {name: document.described for name, document in (DOCUMENTS | ANSWERS).items()}
