-- The lake's rows as they were written, for an analyst.
CREATE VIEW event AS {{template "analyst_rows.sql" .}}
