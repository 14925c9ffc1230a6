-- a word that came from outside, fit for a sentence: short, and never an address
create or replace macro shown_word(word) as (
    case
        when contains(word, '@') then '(a word with an @)'
        when length(word) > 40 then left(word, 40) || '…'
        else word
    end
);
