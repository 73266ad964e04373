"""Which test files hold which module: its own area's, and no others."""

AREAS = {
    "bot.tables.jobs": ("tables", "readings", "jobs", "dispatcher", "fairness", "money", "erasure"),
    "bot.tables.takes": ("tables", "readings", "jobs", "ledger", "money", "previews"),
    "bot.tables.ledger": ("readings", "ledger", "money", "members", "admins", "jobs"),
    "bot.admission": ("ledger", "members", "admins", "money", "licence"),
    "bot.tables.posts": ("posts", "readings", "jobs", "outcomes", "previews", "forgetting"),
    "bot.outbox": ("jobs", "money", "outcomes", "delivery", "previews", "forgetting"),
    "bot.queue": ("fairness", "forecast", "dispatcher"),
    "bot.rules.fairness": ("fairness", "forecast"),
    "bot.dispatch.dispatcher": (
        "dispatcher",
        "faults",
        "previews",
        "hostile_child",
        "time",
        "deadlines",
    ),
    "bot.retention.archive": (
        "result_buttons",
        "forgetting",
        "sweeping",
        "erasure",
        "money",
        "owner",
    ),
    "cogs.delivery": ("delivery", "outcomes", "previews", "attachments", "result_buttons"),
    "cogs.ui.permissions": ("visibility", "places", "forged", "members", "admins"),
}
