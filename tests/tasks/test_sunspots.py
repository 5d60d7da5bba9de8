import subprocess
import sys

import numpy as np
import pytest

from unrolled.tasks import sunspots


def test_the_series():
    pytest.importorskip("statsmodels")
    years, numbers = sunspots()
    assert np.array_equal(years, np.arange(1700, 2009)) and years.dtype == np.int64
    assert numbers.shape == (309,) and numbers.dtype == np.float64
    known = {1700: 5.0, 1701: 11.0, 1957: 190.2, 2008: 2.9}
    assert {year: numbers[years == year].item() for year in known} == known
    assert numbers.min() == 0 and numbers.max() == 190.2
    numbers[0] = 0  # the caller's own copy
    assert sunspots()[1][0] == 5


def test_without_statsmodels_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "unrolled\[book\]"'):
        sunspots()


def test_the_tasks_import_without_statsmodels():
    code = "import sys, unrolled.tasks; sys.exit('statsmodels' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
