"""The scenarios that are explored exhaustively, by what they are about.

Tokens are named by who opened them: `S0.1` is the first session of the first step before, `A` and
`B` are dialects. Operations of a scenario run beside each other, in every order of their commands.
"""

from tests.model.exploration import Scenario
from tests.model.operations import OLD, Step, Token

A = Token("A", "token", "S0.1", 1)
"""Of the first login before, in dialect A; the next of the second login before, in dialect B."""
B = Token("B", "token", "S1.1", 1)
A_REFRESH = Token("A", "refresh", "S0.1", 1)
A_SECOND = Token("A", "token", "S1.1", 1)


def login(dialect: str = "A", kind: str = "token", password: int = 0, who: str = "ann") -> Step:
    return Step("log_in", dialect, kind, password=password, username=who)


def one_more(dialect: str = "A", password: int = 0, who: str = "ann") -> Step:
    """A login that opens one more session."""
    return Step("log_in_again", dialect, password=password, username=who)


def new_password(token: Token, password: int) -> Step:
    return Step("change_password", password=password, token=token)


def keep(token: Token, password: int = 0) -> Step:
    """End all sessions but this one, with another password if one is given."""
    return Step("end_others", password=password, token=token)


def logout(token: Token) -> Step:
    return Step("log_out", token=token)


def logoutall(token: Token) -> Step:
    return Step("log_out_everywhere", token=token)


def use(token: Token) -> Step:
    return Step("use", token=token)


def wait(*ticks: int) -> Step:
    return Step("wait", ticks=ticks)


def join(who: str) -> Step:
    """A registration."""
    return Step("register_account", username=who)


def refresh(kind: str) -> Step:
    return Step("refresh", "A", kind, token=A_REFRESH)


LOGIN, LOGIN_B, NEW_LOGIN = login(), login("B"), login(password=1)
ACCESS, ACCESS_B = login(kind="access"), login("B", "access")
REFRESH = login(kind="refresh")
CHANGE, CHANGE_B = new_password(A, 1), new_password(B, 2)
LOGOUT, USE = logout(A), use(A)
IN_AND_OUT = Step("log_in_and_out")
END_ALL, DISABLE, ENABLE = Step("end_all"), Step("disable"), Step("enable")
DISABLE_SELF, DELETE = Step("disable", token=A), Step("delete_account")
REPEAT, FAILOVER = Step("repeat_write"), Step("fail_over")
RESTORE = Step("restore_postgresql")
ONE, TWO = (LOGIN,), (LOGIN, LOGIN_B)

SESSIONS = {
    "two logins": Scenario([LOGIN] * 2, same_token=True),
    "three logins": Scenario([LOGIN] * 3, same_token=True),
    "two logins, crash": Scenario([LOGIN] * 2, crashes=1, same_token=True),
    "login, logout": Scenario([LOGIN, LOGOUT], ONE),
    "two logins, logout": Scenario([LOGIN, LOGIN, LOGOUT], ONE),
    "login, two logouts, crash": Scenario([LOGIN, LOGOUT, LOGOUT], ONE, crashes=1),
    "login, end all, crash": Scenario([LOGIN, END_ALL], ONE, crashes=1),
    "two logins, end all": Scenario([LOGIN, LOGIN, END_ALL]),
    "two logins, end all of one": Scenario([LOGIN, LOGIN, END_ALL], ONE),
    "login, end all twice": Scenario([LOGIN, END_ALL, END_ALL], ONE),
    "login, logout, end all": Scenario([LOGIN, LOGOUT, END_ALL], ONE),
    "login, disable, enable": Scenario([LOGIN, DISABLE, ENABLE], ONE, crashes=1),
    "disable oneself, login, enable": Scenario([DISABLE_SELF, LOGIN, ENABLE], ONE, crashes=1),
    "disable, request, enable": Scenario([DISABLE, Step("authenticate", token=A), ENABLE], ONE),
    "disable, end all, login": Scenario([DISABLE, END_ALL, LOGIN], ONE),
    "disable, enable, new password": Scenario([DISABLE, ENABLE, CHANGE], ONE),
    "disable oneself, new password": Scenario([DISABLE_SELF, new_password(B, 1)], TWO, crashes=1),
    "login, delete": Scenario([LOGIN, DELETE], ONE, crashes=1),
    "login by new password, change": Scenario([NEW_LOGIN, CHANGE], TWO, crashes=1),
    "logins by old and new password, change": Scenario([LOGIN, NEW_LOGIN, CHANGE], ONE),
    "logins in B by old and new password, change": Scenario(
        [login("B", password=1), login("B"), CHANGE], TWO
    ),
    "change, end all": Scenario([CHANGE, END_ALL], TWO, crashes=1),
    "change, end all, login": Scenario([CHANGE, END_ALL, NEW_LOGIN], ONE),
    "two changes": Scenario([CHANGE, CHANGE_B], TWO, crashes=1),
    "two changes by one token": Scenario([CHANGE, new_password(A, 2)], TWO, crashes=1),
    "change, logout, login": Scenario([CHANGE, LOGOUT, NEW_LOGIN], ONE),
    "change, request": Scenario([CHANGE, USE], TWO, crashes=1),
    "change, disable, enable": Scenario([CHANGE, DISABLE, ENABLE], ONE),
    "request, logout, login": Scenario([USE, LOGOUT, LOGIN], ONE),
    "request, end all, login": Scenario([USE, END_ALL, LOGIN], ONE),
    "request, end all": Scenario([USE, END_ALL], TWO, crashes=1),
    "request, delete": Scenario([USE, DELETE], TWO, crashes=1),
    "request, time, login": Scenario([USE, wait(1, 2, 1, 1), LOGIN], ONE, crashes=1),
    "request, time, login for refresh": Scenario(
        [USE, wait(3, 1, 1, 3), login("B", "refresh")], ONE, crashes=1
    ),
    "login for refresh, time, login": Scenario([REFRESH, wait(3, 2, 2), LOGIN]),
    "two logins, repeated write": Scenario([LOGIN, LOGIN, REPEAT]),
    "in and out, repeated write": Scenario([IN_AND_OUT, REPEAT]),
    "in and out, repeated write, login": Scenario([IN_AND_OUT, REPEAT, LOGIN]),
    "in and out, two repeated writes": Scenario([IN_AND_OUT, REPEAT, REPEAT], crashes=1),
    "in and out twice, login": Scenario([IN_AND_OUT, IN_AND_OUT, LOGIN]),
    "refresh, end all, login": Scenario([refresh("access"), END_ALL, LOGIN], (REFRESH, LOGIN_B)),
    "refresh of one kind, end all, login": Scenario(
        [refresh("token"), END_ALL, LOGIN], (REFRESH, LOGIN_B)
    ),
    "refresh, change, login": Scenario(
        [refresh("access"), new_password(B, 1), NEW_LOGIN], (REFRESH, LOGIN_B)
    ),
    "four logins": Scenario([LOGIN] * 4, same_token=True, slow=True),
    "two logins, logout, end all": Scenario([LOGIN, LOGIN, LOGOUT, END_ALL], ONE, slow=True),
    "login, change, end all, request": Scenario([NEW_LOGIN, CHANGE, END_ALL, USE], ONE, slow=True),
    "two logins, change, request": Scenario([LOGIN, NEW_LOGIN, CHANGE, USE], ONE, slow=True),
    "two changes, request": Scenario([CHANGE, new_password(A, 2), USE], ONE, crashes=1, slow=True),
    "two changes, end all, login": Scenario(
        [CHANGE, CHANGE_B, END_ALL, login("B", password=2)], TWO, slow=True
    ),
    "request, logout, time, login": Scenario(
        [USE, LOGOUT, wait(1, 2, 1, 4), LOGIN], ONE, crashes=1, slow=True
    ),
    "login, time, login for refresh, request": Scenario(
        [LOGIN, wait(2, 2, 1, 3), REFRESH, USE], ONE, slow=True
    ),
}

REGISTERING = {
    "register, crash": Scenario([join("bob")], crashes=1),
    "register, login, crash": Scenario([join("bob"), login(who="bob")], crashes=1),
    "register twice": Scenario([join("bob")] * 2, crashes=1),
    "register twice, login": Scenario([join("bob"), join("bob"), login(who="bob")], crashes=1),
    "register two": Scenario([join("bob"), join("cat")], crashes=1),
    "register a taken name, login": Scenario([join("ann"), LOGIN], ONE, crashes=1),
    "register, end all, login": Scenario(
        [join("bob"), Step("end_all", account_id=2), login(who="bob")], crashes=1
    ),
    "register, delete, login": Scenario(
        [join("bob"), Step("delete_account", account_id=2), login(who="bob")], crashes=1
    ),
    "register, repeated write, login": Scenario([join("bob"), REPEAT, login(who="bob")]),
    "register, failover, login": Scenario([join("bob"), FAILOVER, login(who="bob")], crashes=1),
    "register, time, login": Scenario([join("bob"), wait(2, 3), login(who="bob")], crashes=1),
    "register twice, failover": Scenario([join("bob"), join("bob"), FAILOVER], crashes=1),
}

RESTORING = {
    "restore, register, crash": Scenario([join("bob"), RESTORE, join("cat")], crashes=1),
    "restore, register twice, login": Scenario(
        [join("bob"), RESTORE, join("bob"), login(who="bob")]
    ),
    "restore, register after one": Scenario(
        [RESTORE, join("cat"), login(who="cat")], (join("bob"),)
    ),
    "restore, end all, login": Scenario([END_ALL, RESTORE, LOGIN], ONE),
    "restore, end all, login, crash": Scenario([END_ALL, RESTORE, LOGIN], ONE, crashes=1),
    "restore, change, login": Scenario([CHANGE, RESTORE, LOGIN], ONE),
    "restore, disable, enable": Scenario([DISABLE, ENABLE, RESTORE], ONE),
    "restore, delete, login": Scenario([DELETE, RESTORE, LOGIN], ONE),
    "restore, end all, request": Scenario([END_ALL, RESTORE, USE], ONE, crashes=1),
    "restore, end all, one more": Scenario(
        [END_ALL, RESTORE, one_more()], (one_more(),) * 2, several=True
    ),
    "restore, change, one more": Scenario(
        [CHANGE, RESTORE, one_more()], (one_more(),) * 2, several=True
    ),
    "restore, one more, end all, crash": Scenario(
        [one_more(), END_ALL, RESTORE], (one_more(),) * 2, crashes=1, several=True
    ),
}

FAILING_OVER = {
    "end all, failover, login": Scenario([END_ALL, FAILOVER, LOGIN], ONE),
    "change, failover, login": Scenario([CHANGE, FAILOVER, NEW_LOGIN], TWO),
    "change, end all, failover": Scenario([CHANGE, END_ALL, FAILOVER], TWO),
    "logout, login, failover": Scenario([LOGOUT, LOGIN, FAILOVER], ONE),
    "disable, enable, failover": Scenario([DISABLE, ENABLE, FAILOVER], ONE),
    "end all, failover, request": Scenario([END_ALL, FAILOVER, USE], TWO, crashes=1),
    "delete, failover": Scenario([DELETE, FAILOVER], ONE, crashes=1),
    "logoutall, failover, login": Scenario([logoutall(A), FAILOVER, LOGIN], ONE),
}

FULL = (ACCESS, ACCESS_B)
CAPPED = {
    "cap, two of access, crash": Scenario([ACCESS] * 2, FULL, crashes=1, cap=2),
    "cap, login beside two of refresh": Scenario(
        [LOGIN, login("C", "refresh")], (REFRESH, login("B", "refresh")), cap=2
    ),
    "cap, access, end all": Scenario([ACCESS, END_ALL], FULL, crashes=1, cap=2),
    "cap, two of access": Scenario([ACCESS] * 2, FULL, cap=2),
    "cap of 1, register, two logins": Scenario(
        [
            Step("register_account", kind="access", username="bob"),
            login(kind="access", who="bob"),
            login("B", "access", who="bob"),
        ],
        cap=1,
    ),
    "cap, access, repeated write": Scenario([ACCESS, REPEAT], FULL, cap=2),
    "cap, access, time, access": Scenario([ACCESS, wait(1, 1, 1), ACCESS], FULL, crashes=1, cap=2),
    "cap, access, end all, time": Scenario([ACCESS, END_ALL, wait(1, 2)], FULL, crashes=1, cap=2),
    "cap, refresh, access, end all": Scenario(
        [refresh("access"), ACCESS, END_ALL], (REFRESH, ACCESS_B), cap=2
    ),
}

SWEEP = Step("end_unlisted", "B")
UNLISTED = {
    "sweep, login, crash": Scenario([SWEEP, LOGIN_B], TWO, crashes=1, cap=2),
    "sweep, request, login": Scenario([SWEEP, use(B), LOGIN_B], TWO, cap=2),
    "sweep, logout, login": Scenario([SWEEP, logout(B), LOGIN_B], TWO, cap=2),
    "sweep, end all, login": Scenario([SWEEP, END_ALL, LOGIN_B], TWO, cap=2),
    "sweep, change, login": Scenario([SWEEP, new_password(B, 1), LOGIN_B], TWO, cap=2),
    "two sweeps, login, crash": Scenario([SWEEP, SWEEP, LOGIN_B], TWO, crashes=1, cap=2),
    "sweep, time, login": Scenario([SWEEP, wait(2, 2), LOGIN_B], TWO, cap=2),
    "two logoutall, login": Scenario([logoutall(A), logoutall(B), LOGIN], TWO, crashes=1, cap=2),
    "logoutall, change, login": Scenario([logoutall(A), new_password(B, 1), NEW_LOGIN], TWO, cap=2),
    "logoutall, logout, login": Scenario([logoutall(A), LOGOUT, LOGIN], ONE, cap=2),
}

MORE, MORE_NEW = one_more(), one_more(password=1)
M1, M2 = (MORE,), (MORE, MORE)


def _several(
    steps: list[Step],
    before: tuple[Step, ...] = (),
    crashes: int = 0,
    cap: int | None = None,
    slow: bool = False,
) -> Scenario:
    return Scenario(steps, before, crashes, cap, several=True, slow=slow)


PER_LOGIN = {
    "one more twice": _several([MORE] * 2),
    "one more, three": _several([MORE] * 3),
    "one more twice, crash": _several([MORE] * 2, M1, crashes=1),
    "one more, login": _several([MORE, LOGIN], crashes=1),
    "one more, login, logout": _several([MORE, LOGIN, LOGOUT], M1),
    "one more, logout": _several([MORE, LOGOUT], M2, crashes=1),
    "one more, two logouts": _several([MORE, LOGOUT, logout(A_SECOND)], M2, crashes=1),
    "one more, end all, crash": _several([MORE, END_ALL], M2, crashes=1),
    "one more twice, end all": _several([MORE, MORE, END_ALL], M1),
    "one more, login, end all": _several([MORE, LOGIN, END_ALL], M2),
    "one more, disable, enable": _several([MORE, DISABLE, ENABLE], M2, crashes=1),
    "one more, delete": _several([MORE, DELETE], M2, crashes=1),
    "one more by new password, change": _several([MORE_NEW, CHANGE], M2, crashes=1),
    "one more by old and new password, change": _several([MORE, MORE_NEW, CHANGE], M1),
    "two changes of several": _several([CHANGE, new_password(A_SECOND, 2)], M2, crashes=1),
    "change, logout, one more": _several([CHANGE, logout(A_SECOND), MORE_NEW], M2),
    "request, logout, one more": _several([USE, LOGOUT, MORE], M2),
    "two requests, end all": _several([USE, use(A_SECOND), END_ALL], M2),
    "request, time, one more": _several([USE, wait(1, 2, 1, 1), MORE], M2, crashes=1),
    "request, time, login of several": _several([use(A_SECOND), wait(3, 1, 1, 3), LOGIN], M2),
    "one more twice, repeated write": _several([MORE, MORE, REPEAT]),
    "one more, logout, repeated write": _several([MORE, LOGOUT, REPEAT], M2),
    "end all, failover, one more": _several([END_ALL, FAILOVER, MORE], M2),
    "logout, one more, failover": _several([LOGOUT, MORE, FAILOVER], M2),
    "change, failover, one more": _several([CHANGE, FAILOVER, MORE_NEW], M2),
    "register, one more": _several([join("bob"), one_more(who="bob")], crashes=1),
    "register, end all, one more": _several(
        [join("bob"), Step("end_all", account_id=2), one_more(who="bob")], crashes=1
    ),
    "one more, login, logout, end all": _several([MORE, LOGIN, LOGOUT, END_ALL], M1, slow=True),
    "one more twice, request, end all": _several([MORE, MORE, USE, END_ALL], M1, slow=True),
    "one more, change, logout, request": _several(
        [MORE, CHANGE, logout(A_SECOND), USE], M2, slow=True
    ),
    "cap, one more twice, crash": _several([MORE, MORE], M2, crashes=1, cap=2),
    "cap, one more, end all": _several([MORE, END_ALL], M2, crashes=1, cap=2),
    "cap, one more, login": _several([MORE, LOGIN], M2, cap=2),
    "cap, one more, request": _several([MORE, USE], M2, cap=2),
    "cap, one more twice, request": _several([MORE, MORE, USE], M2, cap=2),
    "cap, one more, logout, one more": _several([MORE, LOGOUT, MORE], M2, cap=2),
    "cap, one more, time, one more": _several([MORE, wait(2, 3), MORE], M2, crashes=1, cap=2),
}

KEEP, KEEP_B, KEEP_NEW = keep(A), keep(B), keep(A, 1)
KEEPING = {
    "keep, request": Scenario([KEEP, USE], TWO, crashes=1),
    "keep, request with another": Scenario([KEEP, use(B)], TWO, crashes=1),
    "keep, login": Scenario([KEEP, LOGIN], TWO, crashes=1),
    "keep, two logins": Scenario([KEEP, LOGIN, LOGIN_B], TWO, crashes=1),
    "keep, request, login": Scenario([KEEP, USE, LOGIN], TWO, crashes=1),
    "keep twice by one token": Scenario([KEEP, KEEP], TWO, crashes=1),
    "keep twice by one token, login": Scenario([KEEP, KEEP, LOGIN], TWO, crashes=1),
    "keep by two devices": Scenario([KEEP, KEEP_B], TWO, crashes=1),
    "keep by two devices, request": Scenario([KEEP, KEEP_B, USE], TWO),
    "keep by two devices, login": Scenario([KEEP, KEEP_B, LOGIN], TWO),
    "keep, logout, login": Scenario([KEEP, LOGOUT, LOGIN], TWO, crashes=1),
    "keep, logout, request": Scenario([KEEP, LOGOUT, USE], TWO),
    "keep, logout of another, login": Scenario([KEEP, logout(B), LOGIN_B], TWO),
    "keep, end all": Scenario([KEEP, END_ALL], TWO, crashes=1),
    "keep, end all, login": Scenario([KEEP, END_ALL, LOGIN], TWO),
    "keep, logoutall": Scenario([KEEP, logoutall(A)], TWO, crashes=1),
    "keep, logoutall by another, login": Scenario([KEEP, logoutall(B), LOGIN], TWO),
    "keep, change": Scenario([KEEP, CHANGE], TWO, crashes=1),
    "keep, change, login": Scenario([KEEP, CHANGE, NEW_LOGIN], ONE),
    "keep, change by another": Scenario([KEEP, CHANGE_B], TWO, crashes=1),
    "keep with a new password, change": Scenario([KEEP_NEW, new_password(A, 2)], TWO, crashes=1),
    "keep with two new passwords": Scenario([KEEP_NEW, keep(A, 2)], TWO, crashes=1),
    "keep with a new password, logins by old and new": Scenario([KEEP_NEW, LOGIN, NEW_LOGIN], ONE),
    "keep with a new password, logins in B": Scenario(
        [KEEP_NEW, LOGIN_B, login("B", password=1)], TWO
    ),
    "keep, disable, enable": Scenario([KEEP, DISABLE, ENABLE], ONE),
    "keep, disable oneself, enable": Scenario([KEEP, DISABLE_SELF, ENABLE], ONE),
    "keep, delete": Scenario([KEEP, DELETE], TWO, crashes=1),
    "keep, time, login": Scenario([KEEP, wait(1, 2, 1, 1), LOGIN], ONE, crashes=1),
    "keep, request, time": Scenario([KEEP, USE, wait(1, 2, 2)], TWO),
    "keep, repeated write, login": Scenario([KEEP, REPEAT, LOGIN], TWO),
    "keep twice, repeated write": Scenario([KEEP, KEEP, REPEAT], TWO),
    "keep, logout, repeated write": Scenario([KEEP, LOGOUT, REPEAT], TWO),
    "keep, failover, login": Scenario([KEEP, FAILOVER, LOGIN], TWO),
    "keep, failover, request": Scenario([KEEP, FAILOVER, USE], TWO, crashes=1),
    "keep, end all, failover": Scenario([KEEP, END_ALL, FAILOVER], TWO),
    "keep by two devices, failover": Scenario([KEEP, KEEP_B, FAILOVER], TWO),
    "restore, keep, login": Scenario([KEEP, RESTORE, LOGIN], TWO, crashes=1),
    "restore, keep twice": Scenario([KEEP, KEEP, RESTORE], TWO),
    "keep, refresh": Scenario([KEEP_B, refresh("access")], (REFRESH, LOGIN_B), crashes=1),
    "keep the refresh token, refresh": Scenario(
        [keep(A_REFRESH), refresh("access"), LOGIN_B], (REFRESH, LOGIN_B)
    ),
    "cap, keep, login": Scenario([KEEP, login("C")], TWO, crashes=1, cap=2),
    "sweep, keep, login": Scenario([SWEEP, KEEP_B, LOGIN_B], TWO, cap=2),
    "one more, keep": _several([MORE, KEEP], M2, crashes=1),
    "one more, keep, login": _several([MORE, KEEP, LOGIN], M2),
    "keep by two of several": _several([KEEP, keep(A_SECOND)], M2, crashes=1),
    "keep twice by one token, request, login": Scenario([KEEP, KEEP, USE, LOGIN], TWO, slow=True),
    "keep, end all, request, login": Scenario([KEEP, END_ALL, USE, LOGIN], TWO, slow=True),
    "keep by two devices, logins": Scenario([KEEP, KEEP_B, LOGIN, LOGIN_B], TWO, slow=True),
    "keep, logout, request, login": Scenario([KEEP, LOGOUT, USE, LOGIN], TWO, slow=True),
}

JWT, FAMILY = login(kind="jwt"), Token("A", "jwt", "S0.1", 1)
F1, F2 = (JWT,), (JWT, LOGIN_B)


def rotate(generation: int = 0, token: Token = FAMILY) -> Step:
    """Refresh with rotation, with the refresh token of this generation."""
    return Step("rotate", kind="jwt", token=token, generation=generation)


def reads(generation: int = 0) -> Step:
    """Refresh without rotation."""
    return Step("refresh_jwt", kind="jwt", token=FAMILY, generation=generation)


def blacklist(token: Token) -> Step:
    return Step("blacklist", kind="jwt", token=token)


ROTATE, ROTATE_TWICE = rotate(), Step("rotate_twice", kind="jwt", token=FAMILY)
END_FAMILY, ROTATED = blacklist(FAMILY), (JWT, ROTATE)
FAMILIES = {
    "two rotations": Scenario([ROTATE] * 2, F1, crashes=1),
    "three rotations": Scenario([ROTATE] * 3, F1, crashes=1),
    "rotations, time": Scenario([ROTATE, wait(1, 1), ROTATE], F1, crashes=1),
    "rotation of two generations": Scenario([ROTATE, rotate(1)], ROTATED, crashes=1),
    "rotation of two generations, time": Scenario([ROTATE, rotate(1), wait(1, 1)], ROTATED),
    "rotate twice, rotation": Scenario([ROTATE_TWICE, ROTATE], F1, crashes=1),
    "rotate twice, rotation, time": Scenario([ROTATE_TWICE, ROTATE, wait(1, 1)], F1),
    "rotate twice, time": Scenario([ROTATE_TWICE, wait(7, 7, 3)], F1, crashes=1),
    "rotate twice, logout, login": Scenario([ROTATE_TWICE, logout(FAMILY), JWT], F1),
    "rotation, time out": Scenario([ROTATE, wait(7, 1, 1)], F1, crashes=1),
    "refresh, rotation": Scenario([reads(), ROTATE, wait(1, 1)], F1),
    "refresh of an older generation": Scenario([reads(), rotate(1), wait(1, 1)], ROTATED),
    "refresh, logout, rotation": Scenario([reads(), END_FAMILY, ROTATE], F1),
    "rotation, logout": Scenario([ROTATE, END_FAMILY], F1, crashes=1),
    "two rotations, logout": Scenario([ROTATE, ROTATE, END_FAMILY], F1, crashes=1),
    "rotation, end all": Scenario([ROTATE, END_ALL], F2, crashes=1),
    "two rotations, end all": Scenario([ROTATE, ROTATE, END_ALL], F2),
    "rotation, logoutall": Scenario([ROTATE, logoutall(FAMILY)], F2, crashes=1),
    "rotation, logoutall, login": Scenario([ROTATE, logoutall(B), JWT], F2),
    "rotation, change, login": Scenario([ROTATE, CHANGE_B, login(kind="jwt", password=2)], F2),
    "rotation, disable, enable": Scenario([ROTATE, DISABLE, ENABLE], F2, crashes=1),
    "rotation, delete": Scenario([ROTATE, DELETE], F2, crashes=1),
    "rotation, request": Scenario([ROTATE, Step("authenticate", token=FAMILY)], F2, crashes=1),
    "keep, rotation": Scenario([keep(FAMILY), ROTATE], F2, crashes=1),
    "keep with a new password, rotations": Scenario([keep(FAMILY, 1), ROTATE, ROTATE], F2),
    "keep, rotation of two generations": Scenario([keep(FAMILY), ROTATE, rotate(1)], ROTATED),
    "keep, rotations, time": Scenario([keep(FAMILY), rotate(1), wait(2)], ROTATED, crashes=1),
    "keep, older generation, time": Scenario([keep(FAMILY), ROTATE, wait(2)], ROTATED),
    "keep another, rotation": Scenario([KEEP_B, ROTATE], F2, crashes=1),
    "keep by two, rotation": Scenario([keep(FAMILY), KEEP_B, ROTATE], F2),
    "keep, rotation, logout": Scenario([keep(FAMILY), ROTATE, END_FAMILY], F2),
    "keep, rotation, failover": Scenario([keep(FAMILY), ROTATE, FAILOVER], F2),
    "rotations, repeated write": Scenario([ROTATE, ROTATE, REPEAT], F1, crashes=1),
    "rotation, logout, repeated write": Scenario([ROTATE, END_FAMILY, REPEAT], F1),
    "rotate twice, failover": Scenario([ROTATE_TWICE, FAILOVER], F1, crashes=1),
    "rotate twice, rotation, failover": Scenario([ROTATE_TWICE, ROTATE, FAILOVER], F1),
    "rotation, end all, failover": Scenario([ROTATE, END_ALL, FAILOVER], F2),
    "restore, rotation, end all": Scenario([ROTATE, END_ALL, RESTORE], F2),
    "cap, rotation, login": Scenario([ROTATE, JWT], (JWT, JWT), crashes=1, cap=2),
    "cap, rotation, time, login": Scenario([ROTATE, wait(1, 1), JWT], (JWT, JWT), cap=2),
}

OLD_TOKEN = Step("take_over", kind="jwt", token=OLD)
OLD_STAYS = Step("refresh_old", kind="jwt", token=OLD)
END_OLD, NEXT, TAKEN = blacklist(OLD), rotate(1, OLD), (OLD_TOKEN, LOGIN_B)
BESIDE_B = (LOGIN, LOGIN_B)
TAKING_OVER = {
    "take over": Scenario([OLD_TOKEN], crashes=1),
    "take over twice": Scenario([OLD_TOKEN] * 2, crashes=1),
    "take over three times": Scenario([OLD_TOKEN] * 3),
    "take over, time": Scenario([OLD_TOKEN, OLD_TOKEN, wait(1, 1)], crashes=1),
    "take over, its end": Scenario([OLD_TOKEN, wait(5, 2, 1)], (OLD_TOKEN,), crashes=1),
    "take over, rotation": Scenario([OLD_TOKEN, NEXT], TAKEN, crashes=1),
    "take over, rotation, time": Scenario([OLD_TOKEN, NEXT, wait(1, 1)], TAKEN),
    "take over, logout": Scenario([OLD_TOKEN, END_OLD], crashes=1),
    "take over, logout of it": Scenario([OLD_TOKEN, logout(OLD)], TAKEN, crashes=1),
    "take over twice, logout": Scenario([OLD_TOKEN, OLD_TOKEN, END_OLD]),
    "take over, two logouts": Scenario([OLD_TOKEN, END_OLD, END_OLD], TAKEN),
    "take over, end all": Scenario([OLD_TOKEN, END_ALL], BESIDE_B, crashes=1),
    "take over, request, end all": Scenario(
        [OLD_TOKEN, Step("authenticate", token=OLD), END_ALL], BESIDE_B
    ),
    "take over twice, end all": Scenario([OLD_TOKEN, OLD_TOKEN, END_ALL]),
    "take over, change": Scenario([OLD_TOKEN, CHANGE_B], BESIDE_B, crashes=1),
    "take over, logoutall, login": Scenario([OLD_TOKEN, logoutall(B), JWT], BESIDE_B),
    "take over, disable, enable": Scenario([OLD_TOKEN, DISABLE, ENABLE], crashes=1),
    "take over, delete": Scenario([OLD_TOKEN, DELETE], crashes=1),
    "take over, keep": Scenario([OLD_TOKEN, keep(OLD)], TAKEN, crashes=1),
    "take over twice and keep": Scenario([OLD_TOKEN, OLD_TOKEN, keep(OLD)], BESIDE_B),
    "take over without rotation": Scenario([OLD_STAYS, OLD_STAYS], crashes=1),
    "take over without rotation, keep": Scenario(
        [OLD_STAYS, OLD_STAYS, keep(OLD)], (OLD_STAYS, LOGIN_B), crashes=1
    ),
    "take over without rotation and keep": Scenario([OLD_STAYS, OLD_STAYS, keep(OLD)], BESIDE_B),
    "take over without rotation, logout": Scenario([OLD_STAYS, END_OLD], crashes=1),
    "take over without rotation, end all": Scenario([OLD_STAYS, END_ALL], BESIDE_B, crashes=1),
    "take over with and without rotation": Scenario([OLD_STAYS, OLD_TOKEN, wait(2)], crashes=1),
    "take over, keep another": Scenario([OLD_TOKEN, KEEP_B], BESIDE_B, crashes=1),
    "take over twice, keep": Scenario([OLD_TOKEN, OLD_TOKEN, keep(OLD)], TAKEN),
    "take over, failover": Scenario([OLD_TOKEN, FAILOVER], TAKEN, crashes=1),
    "take over, end all, failover": Scenario([OLD_TOKEN, END_ALL, FAILOVER], BESIDE_B),
    "take over, logout, failover": Scenario([OLD_TOKEN, END_OLD, FAILOVER]),
    "take over, repeated write": Scenario([OLD_TOKEN, REPEAT], crashes=1),
    "take over twice, repeated write": Scenario([OLD_TOKEN, OLD_TOKEN, REPEAT]),
    "take over, logout, repeated write": Scenario([OLD_TOKEN, END_OLD, REPEAT]),
    "restore, take over, end all": Scenario([OLD_TOKEN, END_ALL, RESTORE], BESIDE_B),
    "restore, take over, delete": Scenario([OLD_TOKEN, DELETE, RESTORE], crashes=1),
    "cap, take over, login": Scenario([OLD_TOKEN, JWT], FULL, crashes=1, cap=2),
    "cap, take over, time, login": Scenario([OLD_TOKEN, wait(1, 1), JWT], (OLD_TOKEN, JWT), cap=2),
    "cap of 1, take over, time, login": Scenario(
        [OLD_TOKEN, wait(1, 1), JWT], (OLD_TOKEN,), crashes=1, cap=1
    ),
}

SCENARIOS: dict[str, Scenario] = {
    **SESSIONS,
    **REGISTERING,
    **RESTORING,
    **FAILING_OVER,
    **CAPPED,
    **UNLISTED,
    **PER_LOGIN,
    **KEEPING,
    **FAMILIES,
    **TAKING_OVER,
}
CLOCK_SET_BACK = Scenario(
    [join("bob"), RESTORE, Step("set_clock_back", ticks=(3,)), join("cat"), login(who="cat")],
    crashes=1,
)
"""It breaks an assumption: PostgreSQL is restored, and its clock is before the backup."""
CAP_REPEATED = Scenario([ACCESS, ACCESS, REPEAT], FULL, cap=2)
"""Its one flaw is known: a registration that arrives twice may leave a name above the cap."""
