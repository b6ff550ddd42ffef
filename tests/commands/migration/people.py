"""Who has an account in the application that moves: one for each way to keep a password."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """An account. `method` is the hasher's name in Django, or werkzeug's method."""

    username: str
    method: str
    password: str = "correct horse battery"
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    is_active: bool = True
    is_superuser: bool = False
    id: int | None = None


IN_DJANGO = (
    Person("kim", "pbkdf2_sha256", email="Kim@Example.COM", is_superuser=True),
    Person("Åsa.Öberg", "argon2", "blåbär 🔑 lösenord", "asa@example.com", "Åsa", "Öberg"),
    Person("lee", "bcrypt_sha256", "x" * 100, "LEE@example.com"),
    Person("max@example.com", "bcrypt", email="max@example.com"),
    Person("noor", "scrypt", email="noor@example.com", id=1000),
    Person("pia", "pbkdf2_sha1"),
    Person("odd", "pbkdf2_sha256", 'a "quoted", password\\', "", 'Anna, "Änn"', "von\n\tB\\N;"),
    Person("n" * 150, "pbkdf2_sha256"),
    Person("gone", "pbkdf2_sha256", email="gone@example.com", is_active=False),
    Person("social", "unusable", email="social@example.com"),
)

IN_FLASK = (
    Person("kim", "scrypt:1024:8:1", email="Kim@Example.COM", is_superuser=True),
    Person("Åsa Öberg", "pbkdf2:sha256:1000", "blåbär 🔑 lösenord", "asa@example.com", id=70),
    Person('o"dd, indeed', "pbkdf2:sha512:1000", email="odd@example.com"),
    Person("default", "scrypt", email="default@example.com"),
    Person("gone", "scrypt:1024:8:1", email="gone@example.com", is_active=False),
)
