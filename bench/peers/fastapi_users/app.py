"""fastapi-users' full example, with tokens in Redis and accounts in PostgreSQL."""

import os
import uuid
from collections.abc import AsyncIterator

import asyncpg
import redis.asyncio
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, RedisStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    username: Mapped[str] = mapped_column(String(150), unique=True)


class UserRead(schemas.BaseUser[uuid.UUID]):
    username: str


class UserCreate(schemas.BaseUserCreate):
    username: str


class UserUpdate(schemas.BaseUserUpdate):
    pass


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    pass


password_helper = None  # the library's own
if "CHEAP_HASH" in os.environ:
    # As its "Password hash" page has it.
    password_helper = PasswordHelper(PasswordHash((BcryptHasher(rounds=4),)))

# asyncpg reads the libpq address itself: SQLAlchemy's URL has no place for a socket's options.
engine = create_async_engine(
    "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(os.environ["DATABASE_URL"])
)
make_session = async_sessionmaker(engine, expire_on_commit=False)
tokens = redis.asyncio.from_url(os.environ["REDIS_URL"], decode_responses=True)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with make_session() as session:
        yield session


async def get_user_db(session: AsyncSession = Depends(get_session)):
    yield SQLAlchemyUserDatabase(session, User)


async def get_user_manager(user_db: SQLAlchemyUserDatabase = Depends(get_user_db)):
    yield UserManager(user_db, password_helper)


def get_redis_strategy() -> RedisStrategy:
    return RedisStrategy(tokens, lifetime_seconds=24 * 3600)


fastapi_users = FastAPIUsers[User, uuid.UUID](
    get_user_manager,
    [
        AuthenticationBackend(
            name="redis",
            transport=BearerTransport(tokenUrl="auth/login"),
            get_strategy=get_redis_strategy,
        )
    ],
)

app = FastAPI()
app.include_router(fastapi_users.get_register_router(UserRead, UserCreate), prefix="/auth")
app.include_router(fastapi_users.get_users_router(UserRead, UserUpdate), prefix="/users")
