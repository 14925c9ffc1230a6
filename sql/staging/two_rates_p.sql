-- two-sided p value of the pooled z test that two rates are equal, continuity corrected
-- (Yates 1934), for of small groups beside large ones more than 5 % were below 5 %;
-- NULL without trials, 1 when both rates are 0 or both 1
create or replace macro two_rates_p(successes_1, trials_1, successes_2, trials_2) as (
    case
        when successes_1 + successes_2 in (0, trials_1 + trials_2)
            and trials_1 > 0 and trials_2 > 0 then 1.0
        else 2 * normal_tail(
            greatest(
                0.0,
                abs(rate(successes_1, trials_1) - rate(successes_2, trials_2))
                - (0.5 / nullif(trials_1, 0) + 0.5 / nullif(trials_2, 0))
            ) / sqrt(
                rate(successes_1 + successes_2, trials_1 + trials_2)
                * (1 - rate(successes_1 + successes_2, trials_1 + trials_2))
                * (1.0 / nullif(trials_1, 0) + 1.0 / nullif(trials_2, 0))
            )
        )
    end
);
