"""What RouterOS menus there are, as data: their fields by version, their keys, and how values are written.

`kinds` knows when two ways of writing a value are the same value, `menus` reads the `*.toml` beside it. The client's
plans and the simulated router both go by it, so a menu is described once.
"""

from provisioning.routeros.schema.kinds import Kind, canonical
from provisioning.routeros.schema.menus import MASK, MENUS, Field, MenuSchema, Release

__all__ = ["MASK", "MENUS", "Field", "Kind", "MenuSchema", "Release", "canonical"]
