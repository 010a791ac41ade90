"""Seeds: every test with chance in it prints its seed and can be run again with the same one."""

from __future__ import annotations

import os
import random


def seeded() -> tuple[int, random.Random]:
    """A seed from SHMSPACE_SEED, or a fresh one, printed; and a generator that starts from it."""
    given = os.environ.get("SHMSPACE_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(2**32)
    print(f"SHMSPACE_SEED={seed}")
    return seed, random.Random(seed)
