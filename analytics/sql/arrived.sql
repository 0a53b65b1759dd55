-- The beginning of a question about what files of the lake brought: each movement
-- of sales, in the part of time that it changes. A part is a week, cut where a
-- month ends; a cancel changes the part of the payment that it takes back.
WITH brought AS (
  SELECT filename AS file, event_token, target_token, person_token, kind, occurred_on
  FROM read_parquet({{.New}}, hive_partitioning = false, union_by_name = true, filename = true)
  WHERE kind IN ('pay', 'cancel', 'refund', 'adjustment')
), taken_back AS (
  SELECT event_token, person_token, occurred_on FROM read_parquet({{.Files}}, hive_partitioning = false, union_by_name = true)
  WHERE event_token IN (SELECT target_token FROM brought WHERE kind = 'cancel')
), movement_of AS (
  SELECT b.file, b.event_token, coalesce(t.person_token, b.person_token) AS person_token, coalesce(t.occurred_on, b.occurred_on) AS changes_on
  FROM brought b LEFT JOIN taken_back t ON b.kind = 'cancel' AND t.event_token = b.target_token
), arrived AS (
  SELECT file, event_token, person_token,
         strftime(greatest(date_trunc('week', changes_on), date_trunc('month', changes_on)), '%Y-%m-%d') AS part
  FROM movement_of
)
