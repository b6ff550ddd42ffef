"""Make N accounts with one token each: `seed.py N FILE`."""

import sys
from pathlib import Path

from flask_jwt_extended import create_access_token
from werkzeug.security import generate_password_hash

from app import User, app, db


def make_accounts(count: int) -> list[User]:
    # One hash for all: seeding measures nothing, and hashing is slow on purpose.
    password = generate_password_hash("correct horse battery")
    accounts = [
        User(username=f"user{i}", email=f"user{i}@example.com", password=password)
        for i in range(count)
    ]
    db.session.add_all(accounts)
    db.session.flush()
    return accounts


def main(count: str, file: str) -> None:
    with app.app_context():
        db.session.execute(db.text("drop schema if exists flask_jwt cascade"))
        db.session.execute(db.text("create schema flask_jwt"))
        db.session.commit()
        db.create_all()
        tokens = [create_access_token(account) for account in make_accounts(int(count))]
        db.session.commit()
    Path(file).write_text("".join(f"Bearer {token}\n" for token in tokens))


if __name__ == "__main__":
    main(*sys.argv[1:])
