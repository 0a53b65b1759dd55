-- Whose movements each file brought to each part of time: some of the persons, and
-- all where they are fewer than a step needs.
, each_person AS (
  SELECT DISTINCT file, part, person_token FROM arrived
)
SELECT file, part, coalesce(array_to_string(min(hex(person_token), {{.Step}}), ' '), '') AS persons
FROM each_person GROUP BY file, part ORDER BY file, part
