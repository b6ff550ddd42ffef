"""A Django application. Only `identity` and one setting know Latchkey."""
