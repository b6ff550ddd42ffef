"""An existing application moves in: its accounts and its tokens, out of files."""
