-- The movements that are held back: $1 are files and $2 the parts of time in them.
, held_part AS (
  SELECT unnest(CAST($1 AS VARCHAR[])) AS file, unnest(CAST($2 AS VARCHAR[])) AS part
)
SELECT event_token FROM arrived SEMI JOIN held_part USING (file, part)
