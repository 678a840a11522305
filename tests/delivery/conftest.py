"""The application with an agency in memory, and somebody who listens."""

from tests.api.conftest import agency, app, entries, headers, http, key, new_key

__all__ = ["agency", "app", "entries", "headers", "http", "key", "new_key"]
