"""Seeded sequence tasks and small data sets: the same `rng` gives the same data.

`rng` is a `numpy.random.Generator` or a seed, whatever `numpy.random.default_rng` takes; a generator moves on with
each call, a seed does not.
"""

from unrolled.tasks.letters import FEATURE_NAMES, FEATURES, letters
from unrolled.tasks.sunspots import sunspots
from unrolled.tasks.temporal_xor import temporal_xor
from unrolled.tasks.words import LEXICON, words

__all__ = ["FEATURES", "FEATURE_NAMES", "LEXICON", "letters", "sunspots", "temporal_xor", "words"]
