-- The table of speeds replaces what was kept of them before.
DROP INDEX jobs_by_speed;
DELETE FROM settings WHERE key LIKE 'pace %';
