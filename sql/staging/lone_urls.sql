-- the distinct URLs in the window of a click that is the only one of its message
create or replace macro lone_urls(url) as if(url is null, 0, 1);
