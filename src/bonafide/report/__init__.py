"""Everything a person or a program sees, rendered from one `Report`."""
