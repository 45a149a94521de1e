"""What makes a report hold up later: one form of its bytes, signatures, and comparison."""
