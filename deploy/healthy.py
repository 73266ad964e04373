"""The container's health check: fails unless the bot beside it says that it is well."""

import http.client
import os
import sys

try:
    bot = http.client.HTTPConnection("127.0.0.1", int(os.environ["METRICS_PORT"]), timeout=5)
    bot.request("GET", "/healthz")
    answer = bot.getresponse()
except OSError as error:
    sys.exit(f"The bot does not answer: {error}.")
print(answer.read().decode())
sys.exit(answer.status != http.HTTPStatus.OK)
