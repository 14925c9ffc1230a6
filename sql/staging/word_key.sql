-- a provider's word → the form in which words are compared; NULL when blank
create or replace macro word_key(word) as nullif(lower(trim(word)), '');
