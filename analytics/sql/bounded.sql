-- What each person did in each cell of a cut, bounded: in at most $7 cells, with
-- 0 to $8 yen in each. Which cells count, where there are too many, is drawn by
-- hashing with a text, $9: what was paid has no say in it.
, part AS (
  SELECT {{.Dims}} person_token, sum(net_yen) AS yen
  FROM scope WHERE person_token IS NOT NULL
  GROUP BY {{.Dims}} person_token
), drawn AS (
  SELECT *, row_number() OVER (PARTITION BY person_token
    ORDER BY sha256(concat_ws(chr(31), CAST($9 AS VARCHAR), hex(person_token), {{.Dims}} '')), {{.Dims}} person_token) AS place
  FROM part
)
SELECT {{.Dims}} CAST(person_token AS VARCHAR) AS party, CAST(greatest(0, least(yen, CAST($8 AS BIGINT))) AS DOUBLE) AS yen, 1 AS payments
FROM drawn WHERE place <= CAST($7 AS BIGINT)
ORDER BY ALL
