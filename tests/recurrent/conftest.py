"""The choice of kernels, and how many threads share their work: put back after each test."""

import pytest

import minigrad


@pytest.fixture(params=["numpy", "numba"])
def kernels(request):
    """Each test once for each kind of kernels."""
    if request.param == "numba":
        pytest.importorskip("numba")
    minigrad.set_kernels(request.param)
    yield request.param
    minigrad.set_kernels("auto")


@pytest.fixture
def on_numba():
    """The compiled kernels, chosen; skips where there is no Numba."""
    pytest.importorskip("numba")
    from minigrad.recurrent.kernels import on_numba

    minigrad.set_kernels("numba")
    yield on_numba
    minigrad.set_kernels("auto")


@pytest.fixture
def share_all(monkeypatch):
    """Even the smallest work is shared among threads, as many as the caller sets."""
    from minigrad.compiled import threads

    monkeypatch.setattr(threads, "WORTH", 0)
    before = minigrad.get_num_threads()
    minigrad.set_num_threads(3)
    yield threads
    minigrad.set_num_threads(before)
