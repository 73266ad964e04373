-- A message that was sent without an answer is looked for from the interaction on that it answers.

CREATE INDEX IF NOT EXISTS interactions_by_job ON interactions (job_id);
