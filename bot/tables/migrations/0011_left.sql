-- Of servers that removed the bot: what still has names or words in it, so that it is erased once.

CREATE INDEX audit_named ON audit (guild_id) WHERE actor_name <> '' OR subject <> '';
CREATE INDEX grants_named ON grants (guild_id) WHERE reason <> '';
CREATE INDEX members_named ON members (guild_id) WHERE block_reason <> '';
