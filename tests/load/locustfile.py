"""Load as apps make it: phones register, log in, read their profile, change it, and log out.

    locust -f tests/load/locustfile.py --host http://127.0.0.1:8000
    locust … --headless --run-time 1m --html report.html --p99 100

Without `--headless` locust serves its own page. The exit status is not 0 after any wrong response
(a status, a body, a profile that is not the phone's own), and after a p99 of more than `--p99`
milliseconds. Registrations and logins do not count for the p99: each takes a core for a quarter of
a second by design. For the same reason `--users` and `--spawn-rate` depend on how fast the cores
hash, unless they are given: a login that would wait too long is a 503, which is a wrong response.
verdict.py says all of this at the end. The accounts stay on the server. Each phone names a separate
address in X-Forwarded-For: with TRUSTED_PROXIES=127.0.0.1 the server counts each for itself.
"""

import html
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import Any

import ramp
import requests
import verdict
from locust import events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from phone import PASSWORD, Phone, png, random_address
from shapes import PICTURE, TEXT, TIME, TOKEN_40, TOKEN_64


class Lumotist(Phone):
    """Changes its picture, too."""

    dialect = "lumotist"

    def register(self) -> str:
        fields = {"username": self.name, "email": self.email, "password": PASSWORD}
        shape = {"success": True, "token": TOKEN_40}
        return self.enter("/account/register", shape, fields)["token"]

    def log_in(self) -> str:
        fields = {"username": self.name, "password": PASSWORD}
        return self.enter("/account/login", {"token": TOKEN_40}, fields)["token"]

    def log_out(self) -> None:
        self.post("/account/logout", {"success": True}, token=self.token)

    @task(6)
    def choose_a_picture(self) -> None:
        """Take one out of the gallery."""
        entry = {"id": int, "name": TEXT, "picture": PICTURE}
        shape = {"male": [entry] * 5, "female": [entry] * 5}
        gallery = self.get("/lumotist/account/get_pictures", shape)
        chosen = secrets.choice(gallery["male"] + gallery["female"])
        self.set_picture({"id": chosen["id"]}, chosen["picture"])
        self.look_at(chosen["picture"])

    @task(2)
    def send_a_picture(self) -> None:
        """Send one of one's own."""
        before = self.picture
        self.picture = self.set_picture(png(), PICTURE)
        if self.picture == before:
            self.complain("picture", "the URL of the one before")
        self.look_at(self.picture)

    @task(1)
    def take_the_picture_away(self) -> None:
        """Show none."""
        self.set_picture({"id": 0}, "")

    def set_picture(self, picture: Any, shown: Any) -> str:
        """Set it and return its URL, as the profile has it then."""
        self.picture = PICTURE if shown else ""
        self.post("/account/set_picture", {"success": True}, picture, token=self.token)
        self.picture = shown
        self.picture = self.read_profile()["data"]["picture"]
        return self.picture


class Wicare(Phone):
    """Has no profile of its own; now and then it logs out everywhere."""

    dialect = "wicare"

    def register(self) -> str:
        user = {"username": self.name, "email": self.email}
        shape = {"user": {**user, "id": int}, "token": TOKEN_64}
        return self.enter("/api/auth/register/", shape, {**user, "password": PASSWORD})["token"]

    def log_in(self) -> str:
        fields = {"username": self.name, "password": PASSWORD}
        shape = {"expiry": TIME, "token": TOKEN_64}
        return self.enter("/api/auth/login/", shape, fields)["token"]

    def log_out(self) -> None:
        path = secrets.choice(("/api/auth/logout/", "/api/auth/logoutall/"))
        self.post(path, None, {}, token=self.token, status=204)


class Kust(Phone):
    """Reads itself in two ways. A registration brings no token."""

    dialect = "kust"

    def register(self) -> str:
        user = {"username": self.name, "email": self.email}
        made = self.enter("/auth/users/", {**user, "id": int}, {**user, "password": PASSWORD})
        self.id = made["id"]
        return self.log_in()

    def log_in(self) -> str:
        fields = {"username": self.name, "password": PASSWORD}
        return self.enter("/auth/token/login/", {"auth_token": TOKEN_40}, fields)["auth_token"]

    def log_out(self) -> None:
        self.post("/auth/token/logout/", None, {}, token=self.token, status=204)

    def read_profile(self) -> Any:
        me = {"email": self.email, "id": self.id, "username": self.name}
        if secrets.randbelow(5):
            return self.get("/kust/auth/users/me/", me)
        me |= {"first_name": "", "last_name": "", "is_active": True, "is_staff": False}
        me |= {"is_superuser": False, "date_joined": TIME, "last_login": TIME, "days_count": 3}
        me |= {"groups": [], "user_permissions": [], "towns": []}
        return self.get(f"/kust/user/{self.id}/", me, name="/kust/user/<id>/")


class Cellars(Phone):
    """Has no e-mail, and no profile but the one that a login answers."""

    dialect = "cellars"

    def register(self) -> str:
        self.email = ""
        return self.come("/api/register/", 201)

    def log_in(self) -> str:
        return self.come("/api/login/", 200)

    def come(self, path: str, status: int) -> str:
        """Register or log in: both answer alike."""
        empty = ("first_name", "last_name", "email")
        empty += ("address", "address2", "city", "state", "zipcode")
        user = {"username": self.name, "cellar": [], "wants": [], **dict.fromkeys(empty, "")}
        user |= {"is_active": True, "is_superuser": False, "is_staff": False}
        user |= dict.fromkeys(("last_login", "created", "modified", "date_joined"), TIME)
        fields = {"username": self.name, "password": PASSWORD}
        shape = {"token": TOKEN_40, "user": user}
        return self.enter(path, shape, fields, status=status)["token"]

    def log_out(self) -> None:
        self.post("/api/logout/", {"status": "success"}, {}, token=self.token)


class Fardel(Phone):
    """Has two tokens. It changes its name, and renews its access token."""

    dialect = "fardel"

    def register(self) -> str:
        self.first_name, self.last_name = "Ada", None
        self.id: Any = int
        fields = {"email": self.email, "password": PASSWORD, "first_name": self.first_name}
        return self.come("/api/auth/register/", "Successfully registered", fields)

    def log_in(self) -> str:
        fields = {"email": self.email, "password": PASSWORD}
        return self.come("/api/auth/login/", "Successfully logined", fields)

    def come(self, path: str, message: str, fields: Any) -> str:
        """Register or log in, and keep both tokens."""
        shape = {"message": message, "access_token": TOKEN_40, "refresh_token": TOKEN_40}
        tokens = self.enter(path, shape, fields)
        self.refresh = tokens["refresh_token"]
        return tokens["access_token"]

    def log_out(self) -> None:
        """End both sessions, in the order of the published client."""
        for what, token in (("Refresh", self.refresh), ("Access", self.token)):
            path = "/api/auth/logout-refresh/" if what == "Refresh" else "/api/auth/logout/"
            self.post(path, {"message": f"{what} token has been revoked"}, {}, token=token)

    def user(self) -> Any:
        """Return what its profile must be."""
        names = {"first_name": self.first_name, "last_name": self.last_name}
        return {"id": self.id, "email": self.email, **names}

    def read_profile(self) -> Any:
        found = self.get("/fardel/api/auth/profile/", {"user": self.user()})
        self.id = found["user"]["id"]
        return found

    @task(2)
    def change_the_name(self) -> None:
        """Change the last name, and send the rest empty, as the published client does."""
        self.last_name = secrets.choice(("Byron", "King", "Lovelace"))
        names = {"first_name": "", "last_name": self.last_name, "email": "", "password": ""}
        shape = {"message": "Profile successfully updated", "user": self.user()}
        self.ask("PUT", "/fardel/api/auth/profile/", shape, names, token=self.token)

    @task(2)
    def renew(self) -> None:
        """Get another access token, and read with that."""
        path, shape = "/api/auth/refresh-token/", {"access_token": TOKEN_40}
        token = self.post(path, shape, {}, token=self.refresh)["access_token"]
        self.get("/fardel/api/auth/profile/", {"user": self.user()}, token)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """Add what locust does not have."""
    parser.add_argument(
        "--p99", type=float, default=0, metavar="MILLISECONDS", help="fail when the p99 is higher"
    )
    parser.add_argument(
        "--cores",
        type=int,
        default=ramp.usable_cores(),
        help="the server's cores, for the defaults of --users and --spawn-rate",
    )


@events.init.add_listener
def choose_ramp(environment: Environment, **_: Any) -> None:
    """Set --users and --spawn-rate, unless both were given, by the time of a registration."""
    options = environment.parsed_options
    if not environment.host or (options.num_users and options.spawn_rate):
        return
    try:
        seconds = ramp.measure(options.cores, partial(register_probe, environment.host))
    except OSError as problem:
        print(f"{environment.host} does not register accounts: {problem}")
        sys.exit("Start a server first: TRUSTED_PROXIES=127.0.0.1 make run")
    chosen = ramp.plan(options.cores, seconds)
    options.num_users = options.num_users or chosen.phones
    options.spawn_rate = options.spawn_rate or chosen.rate
    print(
        f"{options.cores} registrations at a time take {seconds:.2f} s: {options.num_users} "
        f"phones (--users), {options.spawn_rate:g} new ones a second (--spawn-rate)"
    )


def register_probe(host: str) -> None:
    """Register an account. Raises OSError, which the errors of requests are."""
    name = f"probe-{secrets.token_hex(6)}"
    fields = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    headers = {"X-Forwarded-For": random_address()}
    url = f"{host.rstrip('/')}/lumotist/account/register"
    requests.post(url, json=fields, headers=headers, timeout=30).raise_for_status()


@events.quitting.add_listener
def conclude(environment: Environment, **_: Any) -> None:
    """Print the verdict, give it as the exit status, and put it into the HTML report."""
    options, runner = environment.parsed_options, environment.runner
    errors = [each["msg"] for each in runner.exceptions.values()]
    passed, lines = verdict.judge(environment.stats, options.p99, errors)
    environment.process_exit_code = 0 if passed else 1

    def show(**_: Any) -> None:
        """Print after locust's own tables, which are long."""
        print("\n".join(["", *lines]))
        if options.html_file:
            report = Path(options.html_file)
            text = f"<body><pre>{html.escape(chr(10).join(lines))}</pre>"
            report.write_text(report.read_text().replace("<body>", text, 1))

    environment.events.quit.add_listener(show)
