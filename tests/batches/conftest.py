"""The application with an agency in memory, and the loop that asks the lines of batches."""

from tests.api.conftest import agency, app, entries, headers, http, key, new_key

__all__ = ["agency", "app", "entries", "headers", "http", "key", "new_key"]
