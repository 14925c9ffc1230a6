-- the coverage rule: URLs clicked within the window against the URLs of the campaign
create or replace macro is_covered(window_urls, campaign_urls) as (
    coalesce(
        campaign_urls >= threshold('coverage_urls')
        and window_urls / campaign_urls >= threshold('coverage_share'),
        false
    )
);
