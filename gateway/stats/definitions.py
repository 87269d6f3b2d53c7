"""Every figure of statistics, defined once: docs/metrics.md, PostgreSQL's comments and the API say the same. Pure."""

from __future__ import annotations

from typing import Final

UNDELIVERED: Final = ("undeliverable", "rejected", "failed", "expired")
OPEN: Final = ("accepted", "scheduled", "routed", "submitted", "unknown")
TAKEN: Final = ("submitted", "unknown", "delivered", "undeliverable", "expired")
"""States of messages that a carrier took, as far as anybody knows."""
QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))

FIGURES: Final = {
    "messages": "Messages accepted in this time, as they stand now; test messages are left out",
    "delivered": "Messages that arrived",
    "undelivered": "Messages that ended as undeliverable, rejected, failed or expired",
    "cancelled": "Messages that were cancelled",
    "unknown": "Messages of which nobody knows whether the carrier took them",
    "open": "Messages that have not ended; unknown ones are among them",
    "delivery_rate": "delivered ÷ (delivered + undelivered + cancelled + unknown), in messages",
    "parts": "Parts of the messages",
    "parts_delivered": "Parts of the messages that arrived",
    "parts_delivery_rate": "The delivery rate, in parts",
    "cost": "What carriers ask for the parts of all attempts, at the prices of their time; one sum a currency",
    "cost_per_delivered": "cost ÷ delivered",
    "submit_latency": "From accept, or send_at, to the first submit that was taken: p50, p95, p99, within 10 percent",
    "delivery_latency": "From that submit to the receipt that says delivered: p50, p95, p99, within 10 percent",
}
"""By name. Each message counts in the quarter of an hour in which it was accepted, also when it changes later."""

DIMENSIONS: Final = {
    "client": "Whose message it is",
    "class": "otp, alert, transactional or marketing",
    "carrier": "The carrier of the last attempt; empty: none yet",
    "operator": "The recipient's network, as the last attempt was routed",
    "country": "Of the recipient's number, ISO 3166; of countries with one calling code the largest, but for +1 and +7",
    "sender": "The sender that the client asked for",
    "tag": "The client's own dimension",
    "reason": "Why it stands where it stands; empty: nothing is wrong",
    "state": "Where it stands now",
}
