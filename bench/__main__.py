"""`make bench`: every benchmark of this folder, one after the other. Ratios are taken within one run."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench

PARTS = {"load", "servers", "bare", "__main__"}

if __name__ == "__main__":
    wanted = sys.argv[1:] or sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in PARTS)
    for name in wanted:
        importlib.import_module(f"bench.{name}").main()
