-- What is shown is told by the fault, and no longer by the words of the reason.

UPDATE jobs SET fault = IIF(reason = 'Its music is gone from the studio''s disk.', 'gone', 'posting')
WHERE status = 'undeliverable' AND reason IS NOT NULL;
