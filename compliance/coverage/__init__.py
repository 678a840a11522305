"""Which institutions and groups of a region are covered: their lists, the agency's answers, and the count of both."""
