-- a digest of every definition that the tables kept by sql/refresh depend on
create or replace macro definitions() as (
    select md5(string_agg(definition, ';' order by definition))
    from (
        select 'refresh 6' as definition
        union all
        select cast(row(name, value) as varchar) from metric_threshold
        union all
        select cast(
            row(
                bounce_category,
                suppress_after,
                suppress_after_transient,
                suppress_after_days
            ) as varchar
        )
        from bounce_class
        union all
        select cast(row(bounce_category, bounce_class) as varchar) from bounce_class
        union all
        select cast(row(detail, bounce_category) as varchar) from dsn_detail
        union all
        select cast(row(class, bounce_class) as varchar) from dsn_class
        union all
        select cast(row(domain, provider) as varchar) from provider_domain
    )
);
