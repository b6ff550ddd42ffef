// Make N accounts with one session each: `seed.mjs N FILE`. The library writes its own records.
import { writeFileSync } from "node:fs";
import { hashPassword } from "better-auth/crypto";
import { getMigrations } from "better-auth/db/migration";
import { auth, pool, redis } from "./auth.mjs";

const [count, file] = process.argv.slice(2);
const { internalAdapter } = await auth.$context;

async function makeAccount(i, password) {
  const user = await internalAdapter.createUser({ name: `user${i}`, email: `user${i}@example.com` });
  await internalAdapter.linkAccount({
    userId: user.id,
    accountId: user.id,
    providerId: "credential",
    password,
  });
  const session = await internalAdapter.createSession(user.id);
  return session.token;
}

await pool.query("drop schema if exists better_auth cascade; create schema better_auth");
await (await getMigrations(auth.options)).runMigrations();

// One hash for all: seeding measures nothing, and hashing is slow on purpose.
const password = await hashPassword("correct horse battery");
const tokens = [];
while (tokens.length < Number(count)) {
  const size = Math.min(100, Number(count) - tokens.length);
  const first = tokens.length;
  const batch = Array.from({ length: size }, (_, i) => makeAccount(first + i, password));
  tokens.push(...(await Promise.all(batch)));
}
writeFileSync(file, tokens.map((token) => `Bearer ${token}\n`).join(""));

redis.disconnect();
await pool.end();
