-- Draws $2 persons, the same ones for the same seed $1 and the same lake. The
-- order is that of a digest, so that it does not follow from what a person did.
CREATE OR REPLACE TEMP TABLE drawn AS
SELECT person FROM (SELECT DISTINCT person FROM visit)
ORDER BY sha256(CAST($1 AS VARCHAR) || '/' || hex(person)), person LIMIT $2
