"""One module per family of resources; each endpoint is one call into a package below, and its answer."""
