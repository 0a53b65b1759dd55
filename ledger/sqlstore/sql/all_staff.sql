-- All staff, by login.
SELECT login, password_hash, role, shop FROM staff ORDER BY login
