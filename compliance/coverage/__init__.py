"""Which institutions and groups of a region are covered: lists, the agency's answers about them, and the count of both."""
