"""Which test files hold which module: its own area's, and no others."""

_FILES = {
    "bot.tables.jobs": "tables readings sums jobs dispatcher fairness money post_again erasure "
    "ageing",
    "bot.tables.backlog": "readings fairness forecast jobs dispatcher",
    "bot.tables.erasures": "tables readings ageing erasure forgetting time",
    "bot.tables.takes": "tables readings sums jobs ledger money post_again previews takes",
    "bot.tables.shelf": "shelf readings tables query_plans",
    "bot.tables.drafts": "request_form forgetting tables",
    "bot.tables.panels": "panel tables",
    "bot.tables.ledger": "readings sums ledger money post_again members admins jobs",
    "bot.admission": "admission ledger members admins money post_again licence",
    "bot.rules.terms": "members admins money fairness",
    "bot.tables.posts": "posts readings jobs outcomes previews forgetting",
    "bot.outbox": "jobs money outcomes delivery routes discord_faults previews forgetting",
    "bot.belongings.shelf": "shelf visibility",
    "bot.belongings.drafts": "request_form forgetting",
    "bot.admin.panels": "panel",
    "bot.queue": "fairness forecast dispatcher",
    "bot.rules.fairness": "fairness forecast",
    "bot.dispatch.dispatcher": "dispatcher faults previews hostile_child time deadlines",
    "bot.dispatch.endings": "jobs ledger dispatcher faults previews hostile_child",
    "bot.retention.archive": "result_buttons privacy forgetting sweeping erasure ageing money "
    "owner takes",
    "bot.retention.copies": "encoder attachments result_buttons",
    "bot.retention.ownership": "sweeping backup",
    "cogs.delivery": "delivery routes discord_faults outcomes previews attachments result_buttons",
    "cogs.ui.letters": "delivery routes outcomes previews attachments result_buttons",
    "cogs.ui.routes": "delivery routes discord_faults outcomes previews",
    "cogs.ui.take_buttons": "takes",
    "cogs.ui.setup_view": "first_minute",
    "cogs.ui.permissions": "visibility places forged members admins",
}

AREAS = {module: tuple(files.split()) for module, files in _FILES.items()}
