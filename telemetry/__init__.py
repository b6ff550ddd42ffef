"""What the program reports of its work: metrics, traces and the log. It imports nothing of ours."""
