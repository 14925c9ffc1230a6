-- grain: one row per mail domain of a mailbox provider; any other domain, hosted ones
-- included, is 'other'
create or replace table provider_domain as
select
    lower(domain) as domain,
    provider,
from (
    select
        provider,
        unnest(string_split(domains, ' ')) as domain,
    from (
        values
            ('gmail', 'gmail.com googlemail.com'),
            ('outlook', 'outlook.com outlook.fr outlook.de outlook.es outlook.it '
                || 'outlook.co.uk hotmail.com hotmail.co.uk hotmail.fr hotmail.de '
                || 'hotmail.it hotmail.es live.com live.co.uk live.fr live.it live.de '
                || 'live.nl msn.com'),
            ('yahoo', 'yahoo.com yahoo.co.uk yahoo.fr yahoo.de yahoo.it yahoo.es '
                || 'yahoo.co.in yahoo.in yahoo.ca yahoo.com.br yahoo.co.jp ymail.com '
                || 'rocketmail.com aol.com aol.co.uk aol.de aol.fr'),
            ('icloud', 'icloud.com me.com mac.com'),
            ('gmx', 'gmx.de gmx.net gmx.com gmx.at gmx.ch web.de'),
            ('t-online', 't-online.de magenta.de'),
            ('orange', 'orange.fr wanadoo.fr'),
            ('free', 'free.fr'),
            ('laposte', 'laposte.net'),
            ('sfr', 'sfr.fr neuf.fr'),
            ('libero', 'libero.it virgilio.it iol.it'),
            ('tiscali', 'tiscali.it'),
            ('proton', 'proton.me protonmail.com protonmail.ch pm.me'),
            ('fastmail', 'fastmail.com fastmail.fm'),
            ('zoho', 'zoho.com zohomail.com zohomail.eu'),
            ('mail.ru', 'mail.ru inbox.ru list.ru bk.ru internet.ru'),
            ('yandex', 'yandex.ru yandex.com ya.ru'),
            ('comcast', 'comcast.net xfinity.com'),
            ('bt', 'btinternet.com btopenworld.com'),
            ('wp', 'wp.pl o2.pl'),
            ('onet', 'onet.pl'),
            ('seznam', 'seznam.cz email.cz'),
            ('qq', 'qq.com foxmail.com'),
            ('netease', '163.com 126.com')
    ) as providers (provider, domains)
);
