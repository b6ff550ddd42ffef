"""Redis itself: one server, behind Sentinel, or a cluster; its deadline and its refusals."""
