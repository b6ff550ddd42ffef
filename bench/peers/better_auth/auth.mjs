// better-auth with accounts in PostgreSQL and sessions in Redis, as its "Secondary Storage" page has it.
import { randomBytes, scryptSync } from "node:crypto";
import { redisStorage } from "@better-auth/redis-storage";
import { betterAuth } from "better-auth";
import { bearer } from "better-auth/plugins";
import { Redis } from "ioredis";
import pg from "pg";

export const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
export const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true });

// scrypt, as the library uses it, of the lowest cost.
function hash(password) {
  const salt = randomBytes(16);
  const key = scryptSync(password, salt, 64, { cost: 2, blockSize: 1, parallelization: 1 });
  return Promise.resolve(`${salt.toString("hex")}:${key.toString("hex")}`);
}

export const auth = betterAuth({
  baseURL: "http://127.0.0.1",
  secret: "only for the benchmark, on this machine",
  database: pool,
  secondaryStorage: redisStorage({ client: redis }),
  emailAndPassword: { enabled: true, ...(process.env.CHEAP_HASH && { password: { hash } }) },
  plugins: [bearer()],
  // On by default in production: a hundred requests in ten seconds from one address.
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
});
