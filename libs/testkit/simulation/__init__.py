"""A deterministic simulator: the production stream protocol under one seed, in one process, in virtual time."""
