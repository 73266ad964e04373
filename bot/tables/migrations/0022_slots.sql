-- How many takes are rendered side by side is each model's own.
ALTER TABLE speeds ADD COLUMN slots INTEGER NOT NULL DEFAULT 1;
UPDATE speeds SET slots = CAST((SELECT value FROM settings WHERE key = 'slots') AS INTEGER)
WHERE EXISTS (SELECT 1 FROM settings WHERE key = 'slots' AND CAST(value AS INTEGER) > 0);
DELETE FROM settings WHERE key = 'slots';
