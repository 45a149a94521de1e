"""One file, one detector; the file name is its id."""
