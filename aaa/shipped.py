"""Until when everything that was acknowledged is stored: what is not heard of by then was not said.

A session that is taken for ended by mistake comes back with its next word; for addresses, which do not, `pools.nodes`
has a stricter rule.
"""

from __future__ import annotations

from typing import Final

#: A node none of whose spools was shipped for so long after another's is not waited for: it is gone for good, and so
#: is what it had heard.
NODE_GONE_S: Final = 3600
#: Common table expressions, the last of which has the moment as `shipped.until`. Parameters :now and :node_gone.
SHIPPED: Final = """
    node AS (
      SELECT max(shipped_until) AS alive_at, min(shipped_until) AS shipped_until
      FROM spool_position WHERE shipped_until IS NOT NULL GROUP BY node),
    shipped AS (
      SELECT least(min(shipped_until), :now) AS until
      FROM node WHERE alive_at > (SELECT max(alive_at) FROM node) - make_interval(secs => :node_gone))
"""
