"""Webhooks: events are sent to the receivers that WEBHOOKS lists. docs/events.md has the rules."""
