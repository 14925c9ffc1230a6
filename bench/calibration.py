"""How often the marts call something unusual where nothing is.

Worlds of campaigns are drawn from a seed and put in the place of the counts that events make:
campaigns that share one rate, and campaigns that differ as lists do (log-odds apart by 0.3 in
bounces, 0.2 in opens, 0.4 in clicks, and mailbox providers that always differ), of 50 to 50,000
messages each. In the newest campaign of the last series, of 5,000, Yahoo blocks 8 % of its mail.

    python bench/calibration.py [--worlds 20]
"""

import argparse
import sys
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

sys.path[0] = str(Path(__file__).resolve().parents[1])

from tests.marts import at, database  # noqa: E402

NOW = "2026-04-01 12:00:00"
PROVIDERS = {
    "gmail": 0.45,
    "outlook": 0.2,
    "yahoo": 0.1,
    "icloud": 0.05,
    "gmx": 0.05,
    "other": 0.15,
}
ALWAYS = np.array([-0.2, 0.1, 0.5, -0.3, 0.0, 0.3])
RATES = {"bounced": (0.02, 0.3), "opened_human": (0.25, 0.2), "clicked_human": (0.03, 0.4)}
COUNTS = "'^(attempted|delivered|accepted|bounced|opened_human|clicked_human)$'"
VIEWS = {
    "campaigns": f"campaign_id, sum(columns({COUNTS})), min(columns('_at$|^is_|^has_')), "
    "any_value(campaign_name) as campaign_name from made group by campaign_id",
    "provider_counts": "* from made where attempted > 0",
    "campaign_nearby_counts": "*, 0 as unsubscribed, 0 as complained, 0 as unattributed_nearby, "
    "opened_human as opened, clicked_human as clicked from campaigns",
    "measured_counts": "*, accepted as accepted_then, unnest([null, 24, 72]) as age_hours "
    "from campaign_nearby_counts",
    "daily_counts": "cast(last_delivered_at as date) as day, *, accepted as tracked_accepted "
    "from campaign_nearby_counts",
    "campaign_order": "campaign_id, campaign_name, 'shop.example' as sender_domain, "
    "cast(first_delivered_at as date) as sent_date, "
    "row_number() over (order by campaign_id desc) as recency from campaigns",
}  # fmt: skip
PROVIDER = "'bounce' as measure from provider_report"
JUDGES = {
    "campaign outside 95 %": "outside in ('95', '998'), measure from funnel_plot",
    "campaign outside 99.8 %": "outside = '998', measure from funnel_plot",
    "day odd": "is_out_of_control, 'bounce' from daily_bounce_limit where not is_small",
    "period stands out": "stands_out, measure from period_measure where difference is not null",
    "campaign stands out": "stands_out, measure from campaign_measure where is_judged",
    "head names a provider": f"bool_or(bounce_is_unusual), {PROVIDER} group by campaign_id",
    "Yahoo named in the newest": f"bounce_is_unusual, {PROVIDER} where provider = 'yahoo' "
    "and campaign_id = (select max(campaign_id) from made)",
    "any q below 5 %": "bool_or(is_significant), measure from campaign_difference('c001', 24) "
    "group by measure",
}
SERIES = [(number, differ, 0.0) for number in (10, 30, 100) for differ in (0, 1)] + [(30, 1, 0.08)]


def main() -> None:
    """Draw the worlds and print how often each verdict was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=20)
    worlds = parser.parse_args().worlds
    con = database()
    at(con, NOW)
    con.execute("create table made as from provider_counts limit 0")
    for view, columns in VIEWS.items():
        con.execute(f"create or replace view {view} as select {columns}")
    for number, differ, blocked in SERIES:
        found: dict[str, list[bool]] = defaultdict(list)
        for seed in range(worlds):
            con.register("drawn", world(seed, number, differ, blocked).to_arrow())
            con.execute("delete from made; insert into made by name from drawn")
            for judge, query in JUDGES.items():
                for said, measure in con.execute(f"select {query}").fetchall():
                    if measure in ("bounce", "open", "click"):
                        found[judge].append(bool(said))
        apart = "that differ" if differ else "of one rate"
        print(f"{worlds} worlds of {number} campaigns {apart}; Yahoo blocks {blocked:.0%}")
        for name, given in found.items():
            print(f"    {name:26} {np.mean(given):7.2%} of {len(given):,}", flush=True)


def world(seed: int, number: int, differ: int, blocked: float) -> pl.DataFrame:
    """Return the counts of so many campaigns of sixty days, by provider, until four days ago."""
    draw = np.random.default_rng([seed, number])
    sizes = np.exp(draw.uniform(np.log(50), np.log(50_000), number)).astype(int)
    sizes[0] = 5000 if blocked else sizes[0]
    attempted = np.stack([draw.multinomial(size, list(PROVIDERS.values())) for size in sizes])
    counts, of = {"attempted": attempted}, attempted
    for count, (rate, apart) in RATES.items():
        away = differ * (apart * draw.normal(size=(number, 1)) + ALWAYS)
        share = 1 / (1 + (1 - rate) / rate * np.exp(-away))
        share[0, 2] += (1 - share[0, 2]) * blocked * (count == "bounced")
        counts[count] = draw.binomial(of, share)
        of = attempted - counts["bounced"]
    now, step = datetime.fromisoformat(NOW), 60 / number
    sent = [now - timedelta(days=4 + step * n) for n in range(number)]
    grain = {
        "campaign_id": np.repeat([f"c{number - n:03}" for n in range(number)], len(PROVIDERS)),
        "provider": [*PROVIDERS] * number,
        "last_delivered_at": [day for day in sent for _ in PROVIDERS],
    }
    made = pl.DataFrame({**grain, **{name: count.ravel() for name, count in counts.items()}})
    accepted = {name: pl.Series(of.ravel()) for name in ("accepted", "delivered", "rated")}
    nothing = dict.fromkeys(("opened", "clicked", "confirmed_opened", "unsubscribed"), 0)
    flags = {"is_tracked": True, "has_complaints": False}
    return made.with_columns(first_delivered_at="last_delivered_at", **flags, **accepted, **nothing)


if __name__ == "__main__":
    main()
