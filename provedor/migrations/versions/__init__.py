"""One module a revision, numbered, linear."""
