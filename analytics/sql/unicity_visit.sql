-- Who was where, when, each once; key is the place and time.
CREATE OR REPLACE TEMP TABLE visit AS
WITH seen AS (
  SELECT DISTINCT person_token AS person, {{.Place}} AS place, {{.Time}} AS moment
  FROM event WHERE kind = 'pay' AND person_token IS NOT NULL
)
SELECT person, hash(place, moment) AS key FROM seen;

CREATE OR REPLACE TEMP TABLE visited AS
SELECT key, count(*) AS visitors FROM visit GROUP BY key;
