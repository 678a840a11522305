"""Proves: Merkle tree, notes, receipts; pure."""
