"""Which test files hold which module: its own area's, and no others."""

AREAS = {
    "bot.jobs": (
        "tables",
        "readings",
        "jobs",
        "dispatcher",
        "fairness",
        "bot",
        "keeping",
        "members",
        "erasure",
    ),
    "bot.takes": ("tables", "readings", "jobs", "ledger", "dispatcher", "keeping"),
    "bot.ledger": ("readings", "ledger", "jobs", "members", "admins", "keeping", "delivery"),
    "bot.admission": ("ledger", "members", "admins", "selling", "jobs", "wordfilter"),
    "bot.posts": ("posts", "readings", "jobs", "delivery", "keeping", "faults"),
    "bot.outbox": ("jobs", "delivery", "keeping", "faults"),
    "bot.turns": ("fairness", "forecast", "dispatcher", "jobs", "bot"),
    "bot.fairness": ("fairness", "forecast"),
    "bot.dispatcher": ("dispatcher", "faults", "deadlines", "jobs"),
    "bot.archive": ("erasure", "forgetting", "keeping", "formats", "catalogue", "database", "jobs"),
    "cogs.delivery": ("delivery", "keeping", "bot"),
    "cogs.doors": ("visibility", "places", "forged", "members", "admins", "selling"),
}
