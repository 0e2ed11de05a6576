"""Imported by the fork server only, before the first rank: what ranks need is loaded once, and they start in a moment.

The fork server dies with its agent, and so do the ranks that are forked from it.
"""

import torch._dynamo  # noqa: F401  # the first optimiser would import it, which takes seconds

import gmeta_worker.training.rank  # noqa: F401
from gmeta_worker.membership.parent import announce_parent, die_with_parent

die_with_parent()
announce_parent()
