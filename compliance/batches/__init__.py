"""Many checks at once: read and judged as a whole before anything runs, then asked at the agency's pace."""
