"""Seeded sequence tasks and small data sets: the same `rng` gives the same data.

`rng` is a `numpy.random.Generator` or a seed, whatever `numpy.random.default_rng` takes; a generator moves on with
each call, a seed does not.
"""

from unrolled.tasks.arithmetic import adding, multiplication
from unrolled.tasks.copying import copy_memory
from unrolled.tasks.counting import anbn, anbncn
from unrolled.tasks.digits import digits_as_steps
from unrolled.tasks.latching import delayed_recall, two_sequence
from unrolled.tasks.letters import FEATURE_NAMES, FEATURES, letters
from unrolled.tasks.order import ORDER_SYMBOLS, temporal_order
from unrolled.tasks.reber import REBER_SYMBOLS, continual_reber, embedded_reber
from unrolled.tasks.sunspots import sunspots
from unrolled.tasks.temporal_xor import temporal_xor
from unrolled.tasks.text import TEXT_SPLIT, text
from unrolled.tasks.timing import measure_spike_delays, periodic_function, timed_spikes
from unrolled.tasks.words import LEXICON, words

__all__ = [
    "FEATURES",
    "FEATURE_NAMES",
    "LEXICON",
    "ORDER_SYMBOLS",
    "REBER_SYMBOLS",
    "TEXT_SPLIT",
    "adding",
    "anbn",
    "anbncn",
    "continual_reber",
    "copy_memory",
    "delayed_recall",
    "digits_as_steps",
    "embedded_reber",
    "letters",
    "measure_spike_delays",
    "multiplication",
    "periodic_function",
    "sunspots",
    "temporal_order",
    "temporal_xor",
    "text",
    "timed_spikes",
    "two_sequence",
    "words",
]
