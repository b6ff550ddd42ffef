"""Make N accounts with one token each: `seed.py N FILE`."""

import asyncio
import sys
from pathlib import Path

from fastapi_users.password import PasswordHelper
from sqlalchemy import text

from app import Base, User, engine, get_redis_strategy, make_session, tokens


async def make_schema() -> None:
    async with engine.begin() as connection:
        await connection.execute(text("drop schema if exists fastapi_users cascade"))
        await connection.execute(text("create schema fastapi_users"))
        await connection.run_sync(Base.metadata.create_all)


async def make_accounts(count: int) -> list[User]:
    # One hash for all: seeding measures nothing, and hashing is slow on purpose.
    password = PasswordHelper().hash("correct horse battery")
    accounts = [
        User(username=f"user{i}", email=f"user{i}@example.com", hashed_password=password)
        for i in range(count)
    ]
    async with make_session() as session, session.begin():
        session.add_all(accounts)
    return accounts


async def main(count: str, file: str) -> None:
    await make_schema()
    strategy = get_redis_strategy()
    issued = [await strategy.write_token(account) for account in await make_accounts(int(count))]
    Path(file).write_text("".join(f"Bearer {token}\n" for token in issued))
    await tokens.aclose()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
