"""Pure functions from array to array, shared by detectors."""
