-- One row per visit, for an analyst: the same visits as in M02.
CREATE VIEW visits AS
WITH payments AS ({{template "analyst_rows.sql" .}})
{{template "visits.sql"}}
