-- a number and what it counts, in words: counted(1000, 'line was', 'lines were') is
-- '1,000 lines were'
create or replace macro counted(number, of_one, of_many) as (
    format('{:,} ', number) || if(number = 1, of_one, of_many)
);
