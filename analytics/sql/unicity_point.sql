-- Up to $2 visits of each person who was drawn, by the seed $1.
CREATE OR REPLACE TEMP TABLE point AS
SELECT person, key, visitors, n FROM (
  SELECT person, key, row_number() OVER (PARTITION BY person ORDER BY sha256(CAST($1 AS VARCHAR) || '/' || hex(person) || '/' || key), key) AS n
  FROM visit SEMI JOIN drawn USING (person)
) JOIN visited USING (key)
WHERE n <= $2
