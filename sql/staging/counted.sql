-- a number and what it counts, in words: counted(1, 'line was', 'lines were')
create or replace macro counted(number, of_one, of_many) as (
    number || ' ' || if(number = 1, of_one, of_many)
);
