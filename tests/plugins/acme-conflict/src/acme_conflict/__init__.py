"""Claims names that are taken."""
