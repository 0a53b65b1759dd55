-- Of the persons who were drawn, how many are the only one with all of their
-- first $1 visits? Whoever else has them all has the rarest of them too, so
-- nobody but its visitors is looked at. Of a person with fewer visits all are known. The last column is how many places and times
-- there are to tell apart.
WITH known AS (
  SELECT person, key, visitors FROM point WHERE n <= $1
), rarest AS (
  SELECT person, min_by(key, (visitors, key)) AS key FROM known GROUP BY person
), candidate AS (
  SELECT r.person, v.person AS other FROM rarest r JOIN visit v ON v.key = r.key AND v.person <> r.person
), missed AS (
  SELECT c.person, c.other FROM candidate c JOIN known k ON k.person = c.person
  ANTI JOIN visit v ON v.person = c.other AND v.key = k.key
), match AS (
  SELECT person, other FROM candidate EXCEPT SELECT person, other FROM missed
)
SELECT count(*), (SELECT count(DISTINCT person) FROM match), (SELECT count(*) FROM visited) FROM drawn
