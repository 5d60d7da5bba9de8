import subprocess
import sys

import numpy as np
import pytest

from unrolled.tasks import digits_as_steps


@pytest.fixture(scope="module")
def parts():
    pytest.importorskip("sklearn")
    return digits_as_steps()


def test_shapes_and_dtypes(parts):
    for (pixels, labels), n in zip(parts, (1000, 400, 397), strict=True):
        assert pixels.shape == (64, n, 1) and labels.shape == (n,)
        assert pixels.dtype == np.float32 and labels.dtype == np.int64
        assert pixels.min() == 0 and pixels.max() == 1 and np.array_equal(pixels * 16, np.round(pixels * 16))
        assert set(labels.tolist()) == set(range(10))


def test_the_parts_are_the_whole_set_each_image_once(parts):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    expected = sorted((*image, label) for image, label in zip(images.tolist(), labels.tolist(), strict=True))
    steps = np.concatenate([pixels[..., 0].T * 16 for pixels, _ in parts])
    dealt = np.concatenate([digits for _, digits in parts])
    assert sorted((*image, label) for image, label in zip(steps.tolist(), dealt.tolist(), strict=True)) == expected


def test_the_split_does_not_move(parts):
    """It is that of chapter 3, so that figures can be set side by side."""
    from sklearn.datasets import load_digits

    dataset = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    for (pixels, labels), rows in zip(parts, np.split(order, [1000, 1400]), strict=True):
        assert np.array_equal(labels, dataset.target[rows])
        for n in 0, -1:  # row by row from the upper left
            read = [dataset.images[rows[n]][row, column] / 16 for row in range(8) for column in range(8)]
            assert pixels[:, n, 0].tolist() == read
    assert parts[0][1][:10].tolist() == [6, 6, 6, 2, 5, 6, 6, 2, 2, 1]  # this order, in this NumPy and the next


def test_the_numbers_of_the_docstring(parts):
    (train, labels), _, (test, digits) = parts
    assert round(100 * (digits == np.bincount(labels).argmax()).mean(), 1) == 8.3
    a, b = train[..., 0].T.astype(float), test[..., 0].T.astype(float)
    distance = (b**2).sum(1)[:, None] - 2 * b @ a.T + (a**2).sum(1)
    assert round(100 * (labels[distance.argmin(1)] == digits).mean(), 1) == 97.5


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "unrolled\[book\]"'):
        digits_as_steps()


def test_the_tasks_import_without_scikit_learn():
    code = "import sys, unrolled.tasks; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
