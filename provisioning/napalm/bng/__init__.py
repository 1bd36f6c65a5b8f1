"""What makes a box of any vendor a BNG of ours: from what a provider says of it to the lines for its platform; pure.

intent     what is said, in a provider's words, and what of it cannot be
rendering  templates and what they are given; a provider's own take the place of ours
templates  one a platform
"""

from provisioning.napalm.bng.intent import BngIntent, bng_intent_of
from provisioning.napalm.bng.rendering import Surroundings, render

__all__ = ["BngIntent", "Surroundings", "bng_intent_of", "render"]
