"""E-mail: messages from templates, and the task that sends those of the queue. See docs/mail.md."""
