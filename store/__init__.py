"""What is kept, and the rules that guard it. Knows no HTTP, no wording, no status code."""
