"""The marts behind the pages: comparisons at equal age, limits, differences, held to scipy."""

import json
import math
import re

import duckdb
import numpy as np
import polars as pl
import pytest
from scipy import special, stats

from loader import charts, page, palette, query, tables
from loader.settings import Settings


@pytest.fixture
def con(home: Settings) -> duckdb.DuckDBPyConnection:
    """A connection to the published sample."""
    return query.connect(home)


def test_a_campaign_is_compared_with_those_its_sender_sent_before_it(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Peers are at most 12 campaigns of the same sender domain, and none sent later."""
    wrong = con.sql(
        "select count(*) from campaign_peer as p join campaign_list as own using (campaign_id) "
        "join campaign_list as peer on p.peer_id = peer.campaign_id "
        "where peer.sender_domain <> own.sender_domain or peer.recency <= own.recency "
        "or p.peer_rank > 12"
    ).fetchall()[0]
    peers = con.sql("select count(*) from campaign_peer").fetchall()[0]

    assert wrong == (0,)
    assert peers is not None
    assert peers[0] > 10


def test_tiles_compare_at_equal_age(con: duckdb.DuckDBPyConnection) -> None:
    """A difference is the campaign's rate at its age minus the median of its peers at that age."""
    measures = con.sql("from campaign_measure where difference is not null").pl()
    rates = con.sql("from measured_rate where age_hours is not null").pl()
    peers = con.sql("from campaign_peer").pl()

    assert measures.height > 20
    for row in measures.iter_rows(named=True):
        own = pl.col("campaign_id") == row["campaign_id"]
        others = peers.filter(own)["peer_id"].to_list()
        at_age = rates.filter(
            pl.col("measure") == row["measure"], pl.col("age_hours") == row["compared_at_hours"]
        )
        known = at_age.filter(pl.col("campaign_id").is_in(others))["rate"].drop_nulls()
        mine = at_age.filter(own)["rate"][0]

        assert row["peers"] == len(known)
        assert row["difference"] == pytest.approx(mine - known.median(), abs=1e-12)


RATES = [0.0001, 0.0005, 0.003, 0.022, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.9995]
SIZES = sorted({round(10 ** (step / 40)) for step in range(220)})


@pytest.mark.parametrize("tail", [0.025, 0.001])
def test_chance_goes_no_further_than_a_binomial(
    con: duckdb.DuckDBPyConnection, tail: float
) -> None:
    """Campaigns alike lie beyond a funnel's line no oftener than it says, of one message or many.

    Nor is a line farther out than the exact one by more than a message, or than five tell.
    """
    z = stats.norm.isf(tail)
    query = """
        select p, n, n * chance_lo(p, n, $z), n * (1 - chance_lo(1 - p, n, $z))
        from (select unnest($rates) as p) cross join (select unnest($sizes) as n)
    """
    asked = con.sql(query, params={"z": z, "rates": RATES, "sizes": SIZES})
    p, n, low, high = (column.to_numpy() for column in asked.pl())
    low, high = np.ceil(low - 1e-6), np.floor(high + 1e-6)
    least, most = stats.binom.ppf(tail, n, p), stats.binom.isf(tail, n, p)

    assert len(n) == len(RATES) * len(SIZES) > 1500
    assert (stats.binom.cdf(low - 1, n, p) <= tail).all()
    assert (stats.binom.sf(high, n, p) <= tail).all()
    assert (np.minimum(least, np.maximum(n - 5, 0)) - low <= 1).all()
    assert (high - np.maximum(most, np.minimum(n, 5)) <= 1).all()


def spread_of(distances: np.ndarray, pooled: float, sizes: np.ndarray) -> float:
    """By how much log-odds differ beyond chance, were they normal, as their median tells it."""
    told = pooled * (1 - pooled)
    excess = (distances / 0.6745 / told) ** 2 - 1 / (sizes * told)
    return math.sqrt(max(0.0, float(np.median(excess)))) * (1 + 5 / len(sizes))


def limit_hi(pooled: float, chance: np.ndarray, spread: float) -> np.ndarray:
    """What chance makes of a rate, and what campaigns differ by anyway, added in squares."""
    anyway = special.expit(special.logit(pooled) + stats.norm.ppf(0.999) * spread)
    return np.minimum(1.0, pooled + np.hypot(chance - pooled, anyway - pooled))


def test_campaigns_are_judged_by_how_much_campaigns_differ(con: duckdb.DuckDBPyConnection) -> None:
    """A funnel's lines are a binomial's, widened by how far apart its larger campaigns lie."""
    query = (
        "select *, 1 - chance_lo(1 - pooled_rate, size, normal_z_998()) as chance from funnel_limit"
    )
    lines, spreads = con.sql(query).pl(), set()
    for (measure,), plotted in con.sql("from funnel_plot").pl().group_by("measure"):
        pooled, own = plotted["pooled_rate"][0], lines.filter(measure=measure)
        every = (plotted["rate"] * plotted["size"]).sum() / plotted["size"].sum()
        large = plotted.filter(
            pl.col("size") >= 200, pl.col("size") * min(every, 1 - every) > 5 - 1e-9
        )
        if large.height < 5:  # too few to tell by how much campaigns differ
            spread, whole = 0.0, every
        else:
            away, sizes = (large["rate"] - pooled).to_numpy(), large["size"].to_numpy()
            spread = spread_of(away, pooled, sizes)
            low, high = np.quantile(large["rate"], [0.25, 0.75], method="inverted_cdf")
            middle = large.filter(pl.col("rate").is_between(low, high))
            whole = (middle["rate"] * middle["size"]).sum() / middle["size"].sum()
        farthest = limit_hi(pooled, own["chance"].to_numpy(), spread)
        spreads.add(spread)

        assert pooled == pytest.approx(whole)
        assert plotted["spread"].to_list() == pytest.approx([spread] * plotted.height)
        assert own["limit_hi_998"].to_numpy() == pytest.approx(farthest)
    assert max(spreads) > 0.2


def test_days_are_judged_by_how_much_days_differ(con: duckdb.DuckDBPyConnection) -> None:
    """Control limits are a binomial's, widened by how far days lie from their rate anyway."""
    query = "select *, 1 - chance_lo(1 - pooled_rate, attempted, normal_z_998()) as chance "
    days = con.sql(f"{query} from daily_bounce_limit where delivered > 0 order by day").pl()
    large = days.filter(~pl.col("is_small"))
    ends = np.quantile(large["bounce_rate"], [0.1, 0.9], method="inverted_cdf")
    middle = large.filter(pl.col("bounce_rate").is_between(*ends))
    pooled = middle["bounced"].sum() / middle["attempted"].sum()
    told = large.filter(pl.col("attempted") * pooled >= 5)
    spread = spread_of(
        (told["bounce_rate"] - pooled).to_numpy(), pooled, told["attempted"].to_numpy()
    )

    assert days["pooled_rate"][0] == pytest.approx(pooled)
    assert days["spread"].to_list() == pytest.approx([spread] * days.height)
    assert days["limit_hi_998"].to_numpy() == pytest.approx(
        limit_hi(pooled, days["chance"].to_numpy(), spread)
    )


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
                (-0.011820, 0.042940, 0.968881))  # fmt: skip
PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
              (-0.003882, -0.048116, 1.051998))  # fmt: skip
NORMAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
TOGETHER = (
    ("accepted", *charts.CLASSES, "unattributed"),
    ("attempted", "accepted", "opened", "clicked", "unsubscribed"),
    ("accepted", "bounced", "opened", "clicked", "unsubscribed"),
    ("accepted", "beyond_95", "beyond_998"),
)


def test_a_colour_has_one_meaning(con: duckdb.DuckDBPyConnection) -> None:
    """A class's colour is that class's: all bounces, and what lies beyond limits, have others."""
    listed, plotted = (con.sql(f"from {name}").pl() for name in ("campaign_list", "funnel_plot"))
    classes = {palette.COLOUR[name] for name in charts.CLASSES}
    drawn = charts.funnel_plot(plotted, con.sql("from funnel_limit").pl(), "bounce").to_dict()
    texts = [json.dumps(drawn), tables.campaigns(listed).markup]
    texts.append(page.tiles(con.sql("from period_measure").pl()).markup)

    assert len(set(palette.COLOUR.values())) == len(palette.COLOUR)
    assert [colour for colour in classes for text in texts if colour in text] == []


def _lab(colour: str, matrix: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """The CIELAB values of a colour as an eye with that matrix sees it."""
    given = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
              for part in given]  # fmt: skip
    red, green, blue = (
        min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in matrix
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (
        part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in (x, y, z)
    )
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("matrix", [NORMAL, DEUTERANOPIA, PROTANOPIA], ids=["all", "deut", "prot"])
def test_colours_that_stand_together_can_be_told_apart(
    matrix: tuple[tuple[float, ...], ...],
) -> None:
    """Meanings that share a chart differ by at least ΔE 15, for colour-blind readers too."""
    for names in TOGETHER:
        seen = {name: _lab(palette.COLOUR[name], matrix) for name in names}
        pairs = {(a, b): math.dist(seen[a], seen[b]) for a in names for b in names if a < b}

        assert min(pairs.values()) >= 15, min(pairs, key=pairs.__getitem__)


@pytest.mark.parametrize("matrix", [NORMAL, DEUTERANOPIA, PROTANOPIA], ids=["all", "deut", "prot"])
def test_better_and_worse_can_be_told_apart(matrix: tuple[tuple[float, ...], ...]) -> None:
    """Good and bad news differ in colour by ΔE 30 and more, for colour-blind readers too."""
    better, worse = (_lab(colour, matrix) for colour in (palette.BETTER, palette.WORSE))

    assert math.dist(better, worse) >= 30


def test_bounce_classes_keep_their_order_in_grey() -> None:
    """In grey, soft is lightest, then block, hard and undetermined; better is hollow, not full.

    Accepted mail, on which the classes stand in bars, is in grey neither soft nor block.
    """
    soft, block, hard, undetermined = (
        _lab(palette.COLOUR[name], NORMAL)[0] for name in charts.CLASSES
    )

    assert soft > block + 10
    assert block > hard + 10
    assert hard > undetermined + 10
    assert soft - 9 > _lab(palette.COLOUR["accepted"], NORMAL)[0] > block + 9
    assert re.findall(r'content:"[^"]*(25C.)"(?=/)', palette.MARKS) == ["25C7", "25C6"]
