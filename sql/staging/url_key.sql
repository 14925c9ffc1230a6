-- a URL → the number by which distinct URLs are counted while a refresh holds many of
-- them: its 64-bit hash; NULL for none
create or replace macro url_key(url) as if(url is null, null, hash(url));
