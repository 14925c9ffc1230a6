-- grain: campaign other than the reference × measure (open, click), both by people at
-- `at_hours` (1, 6, 24, 72, 168) after delivery: campaign_difference('<id>', 24)
-- difference = campaign − reference with its Newcombe interval; q_value = Benjamini and
-- Hochberg's (1995) over the campaigns of one measure, NULL where counts do not suffice
-- to tell (seen_enough); is_significant = q_value below significance; is_small = either
-- of the two, rate_is_small = the campaign, not the reference; needed = messages a side
-- that would show this difference with 80 % power
create or replace macro campaign_difference(reference_id, at_hours) as table
with reached as materialized (
    select *
    from measured_rate
    where age_hours = at_hours and measure in ('open', 'click') and rate is not null
),

paired as (
    select
        reached.campaign_id,
        reached.measure,
        reached.numerator,
        reached.denominator as size,
        reached.rate,
        reached.rate_lo,
        reached.rate_hi,
        reached.is_small as rate_is_small,
        reached.is_small or reference.is_small as is_small,
        reference.rate as reference_rate,
        reference.denominator as reference_size,
        reached.rate - reference.rate as difference,
        newcombe_lo(
            reached.numerator,
            reached.denominator,
            reference.numerator,
            reference.denominator
        ) as difference_lo,
        newcombe_hi(
            reached.numerator,
            reached.denominator,
            reference.numerator,
            reference.denominator
        ) as difference_hi,
        if(
            seen_enough(reached.numerator, reached.denominator, reference.rate)
            and seen_enough(reference.numerator, reference.denominator, reached.rate),
            two_rates_p(
                reached.numerator,
                reached.denominator,
                reference.numerator,
                reference.denominator
            ),
            null
        ) as p_value,
        sample_size(reached.rate, reference.rate) as needed,
    from reached
    inner join reached as reference
        on reached.measure = reference.measure and reference.campaign_id = reference_id
    where reached.campaign_id <> reference_id
),

ranked as (
    select
        *,
        p_value * count(p_value) over (partition by measure)
        / count(p_value) over (partition by measure order by p_value) as stepped,
    from paired
)

select
    ranked.campaign_id,
    campaign_order.campaign_name,
    ranked.measure,
    ranked.size,
    ranked.reference_size,
    ranked.needed,
    ranked.rate,
    ranked.rate_lo,
    ranked.rate_hi,
    ranked.reference_rate,
    ranked.difference,
    ranked.difference_lo,
    ranked.difference_hi,
    ranked.p_value,
    if(ranked.p_value is null, null, least(1.0, min(ranked.stepped) over (
        partition by ranked.measure
        order by ranked.p_value desc
        range between unbounded preceding and current row
    ))) as q_value,
    coalesce(q_value < threshold('significance'), false) as is_significant,
    ranked.rate_is_small,
    ranked.is_small,
    campaign_order.sent_date,
from ranked
left join campaign_order on ranked.campaign_id = campaign_order.campaign_id;
