"""Flask-JWT-Extended's "Automatic User Loading" and "JWT Revoking / Blocklist" pages, joined."""

import os
from datetime import timedelta

import psycopg
import redis
from flask import Flask, jsonify
from flask_jwt_extended import JWTManager, current_user, jwt_required
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = "only for the benchmark, on this machine"
app.config["JWT_ACCESS_TOKEN_EXPIRES"] = timedelta(days=1)
app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg://"
# psycopg reads the libpq address itself: SQLAlchemy's URL has no place for a socket's options.
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
    "creator": lambda: psycopg.connect(os.environ["DATABASE_URL"])
}

jwt = JWTManager(app)
db = SQLAlchemy(app)
jwt_redis_blocklist = redis.StrictRedis.from_url(os.environ["REDIS_URL"], decode_responses=True)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    username = db.Column(db.Text, nullable=False, unique=True)
    email = db.Column(db.Text, nullable=False, unique=True)
    password = db.Column(db.Text, nullable=False)


@jwt.user_identity_loader
def user_identity_lookup(user):
    return str(user.id)  # PyJWT refuses a subject that is no string


@jwt.user_lookup_loader
def user_lookup_callback(_jwt_header, jwt_data):
    return User.query.filter_by(id=int(jwt_data["sub"])).one_or_none()


@jwt.token_in_blocklist_loader
def check_if_token_is_revoked(jwt_header, jwt_payload):
    return jwt_redis_blocklist.get(jwt_payload["jti"]) is not None


@app.route("/account/profile")
@jwt_required()
def profile():
    return jsonify(id=current_user.id, username=current_user.username, email=current_user.email)
