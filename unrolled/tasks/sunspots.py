"""A real series that swings without a fixed period."""

import numpy as np


def sunspots() -> tuple[np.ndarray, np.ndarray]:
    """Yearly sunspot numbers from 1700 to 2008.

    Returns the years as int64 of shape (309,) and the numbers as float64 of shape (309,), none negative.
    Raises ModuleNotFoundError without statsmodels, which carries the data.
    Source: the data set `sunspots` of statsmodels, "Yearly (1700-2008) data on sunspots from the National Geophysical
    Data Center", http://www.ngdc.noaa.gov/stp/solar/solarda3.html; statsmodels states "This data is public domain."
    They predate the revision of July 2015, which put the whole series on a higher scale
    (https://www.sidc.be/silso/newdataset), so do not set them beside numbers published since.
    """
    try:
        from statsmodels.datasets import sunspots as dataset  # takes seconds to import, so only on use
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'sunspots() reads its data from statsmodels; install it with pip install "unrolled[book]"', name=error.name
        ) from error
    table = dataset.load_pandas().data
    return np.array(table["YEAR"], np.int64), np.array(table["SUNACTIVITY"], np.float64)
