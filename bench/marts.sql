-- The world of `loader simulate`, only larger: of 1,000 messages 19 bounce, 313 are opened (440
-- opens) and 40 clicked (130 clicks, 7 messages two or three times), 2 unsubscribe and 0.3
-- complain; 52,500 messages a campaign, campaigns a day apart, 18 messages a recipient. Of 100
-- recipients 33 never react, 37 open and 30 click too, and half have an address that can bounce;
-- of 1,000 recipients 14 sit behind a scanner that clicks 4 to 9 links of every message within
-- two seconds.
create or replace temp macro chance(number, salt) as (
    cast(hash(number, salt) % 1000003 as bigint)
);

create or replace temp table planned as
with numbered as (
    select
        number,
        cast(hash(number, 1) % (getvariable('messages') // 18) as bigint) as person,
    from range(getvariable('messages')) as numbers (number)
)

select
    number,
    uuid() as message_key,
    'person' || person || '@' || [
        'gmail.com', 'hotmail.com', 'yahoo.com', 'gmx.de', 'example.org',
        'company' || chance(person, 2) % 5000 || '.example'
    ][1 + chance(person, 3) % 6] as recipient,
    md5(cast(number // 52500 as varchar)) as campaign_id,
    'Campaign ' || number // 52500 as campaign_name,
    timestamp '2026-01-01'
    + to_seconds(number // 52500 * 86400 + chance(number, 4) % 20000) as delivered_at,
    chance(number, 5) % 1000 + if(chance(person, 6) % 2 = 0, 0, 38) as fate,
    chance(number, 7) % 1000 as mood,
    case
        when chance(person, 8) % 100 < 30 then [520, 141, 70]
        when chance(person, 8) % 100 < 67 then [425, 115, 57]
        else [0, 0, 0]
    end as opens_below,
    if(chance(person, 8) % 100 < 30, [86, 23, 7], [0, 0, 0]) as clicks_below,
    chance(person, 9) % 1000 < 14 as is_scanned,
from numbered;

insert into delivered by name
select
    message_key, '<' || message_key || '@shop.example>' as message_id, recipient,
    'news@shop.example' as sender, campaign_id, campaign_name, 'inboxroad' as webhook,
    delivered_at as occurred_at, delivered_at + interval 2 seconds as received_at,
from planned
where fate >= 36;

insert into bounce by name
select
    message_key, '<' || message_key || '@shop.example>' as message_id, recipient,
    'news@shop.example' as sender, 'inboxroad' as webhook,
    if(fate < 36, 'sync', 'async') as sync_type,
    ['5.1.1', '4.2.2', '5.7.1', '4.4.7'][1 + fate % 4] as dsn_code,
    ['5.1.1 (unknown)', '4.2.2 (full)', '5.7.1 (spam)', '4.4.7 (expired)'][1 + fate % 4]
        as dsn_status,
    ['bad-mailbox', 'quota-issues', 'spam-related', 'message-expired'][1 + fate % 4]
        as bounce_category,
    delivered_at + to_seconds(300 * (fate + 1)) as occurred_at,
    delivered_at + to_seconds(300 * (fate + 1) + 2) as received_at,
from planned
where fate < 38;

insert into open by name
select
    message_key, message_key as message_id, recipient, 'news@shop.example' as sender,
    campaign_id, campaign_name, 'inboxroad' as webhook,
    delivered_at + to_seconds(cast(exp(chance(number, 10 + turn) % 1300 / 100.0) as bigint))
        as occurred_at,
    delivered_at + interval 2 days as received_at,
from planned
cross join range(3) as turns (turn)
where fate >= 38 and mood < opens_below[turn + 1];

insert into click by name
select
    message_key, message_key as message_id, recipient, 'news@shop.example' as sender,
    campaign_id, campaign_name, 'inboxroad' as webhook,
    'https://shop.example/' || campaign_name || '/' || (turn + chance(number, 20)) % 9 as url,
    delivered_at + to_seconds(cast(
        exp(6 + chance(number, 21) % 600 / 100.0)
        + turn * exp(1.5 + chance(number, 22) % 380 / 100.0) as bigint
    )) as occurred_at,
    delivered_at + interval 2 days as received_at,
from planned
cross join range(3) as turns (turn)
where fate >= 38 and mood < clicks_below[turn + 1] and not is_scanned;

insert into click by name
select
    message_key, message_key as message_id, recipient, 'news@shop.example' as sender,
    campaign_id, campaign_name, 'inboxroad' as webhook,
    'https://shop.example/' || campaign_name || '/' || turn as url,
    delivered_at + to_seconds(
        20 + chance(number, 23) % if(chance(number, 24) % 3 < 2, 40, 800) + turn % 2
    ) as occurred_at,
    delivered_at + interval 2 days as received_at,
from planned
cross join range(9) as turns (turn)
where fate >= 38 and is_scanned and turn < 4 + chance(number, 25) % 6;

insert into subscription_changed by name
select
    message_key, message_key as message_id, recipient, 'news@shop.example' as sender,
    campaign_id, campaign_name, 'inboxroad' as webhook, 'unsubscribe' as change,
    'main' as contact_list_id, 'Main' as contact_list_name,
    delivered_at + interval 2 hours as occurred_at,
    delivered_at + interval 2 hours as received_at,
from planned
where fate >= 38 and mood < 3 and opens_below[1] > 0;

insert into other_event by name
select
    message_key, message_key as message_id, recipient, 'news@shop.example' as sender,
    campaign_id, campaign_name, 'inboxroad' as webhook, 'complaint' as kind,
    '{"event": "complaint"}' as event,
    delivered_at + interval 3 hours as occurred_at,
    delivered_at + interval 3 hours as received_at,
from planned
where fate >= 38 and chance(number, 26) < 300;

drop table planned;
