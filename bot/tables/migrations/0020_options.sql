-- Each family of models has options of its own: they are kept by name, as JSON. And some models sing:
-- the words that they were given, and in which language those are.

ALTER TABLE jobs ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN lyrics TEXT;
ALTER TABLE jobs ADD COLUMN language TEXT;

UPDATE jobs SET options = json_object(
    'guidance', guidance, 'temperature', temperature, 'top_k', top_k
);

ALTER TABLE jobs DROP COLUMN guidance;
ALTER TABLE jobs DROP COLUMN temperature;
ALTER TABLE jobs DROP COLUMN top_k;
