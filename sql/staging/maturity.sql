-- hours since a campaign's last delivery → its badge; NULL when nothing was delivered
create or replace macro maturity(age_hours) as (
    case
        when age_hours >= threshold('comparable_hours') then 'comparable'
        when age_hours >= threshold('maturing_hours') then 'maturing'
        when age_hours is not null then 'preliminary'
    end
);
