"""HTTP below the level of dialects: everything that uses internals of aiohttp."""
