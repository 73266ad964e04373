-- A reason is written down once, with the block that it was given for.

UPDATE audit SET before = 'blocked' WHERE action = 'member unblock';
