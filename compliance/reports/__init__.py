"""Auditors' questions to the log: search, figures, fair samples, promises, exports. One function each."""
