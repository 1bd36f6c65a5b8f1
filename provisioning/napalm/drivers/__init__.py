"""NAPALM drivers of our own: for boxes that NAPALM has none for."""
