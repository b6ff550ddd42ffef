// Make N sessions, each holding its account's profile: `seed.mjs N FILE`.
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { Redis } from "ioredis";

const [count, file] = process.argv.slice(2);
const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true });

const tokens = Array.from({ length: Number(count) }, () => randomBytes(20).toString("hex"));
const written = tokens.map((token, i) => {
  const profile = { id: i + 1, username: `user${i}`, email: `user${i}@example.com` };
  return redis.set(`session:${token}`, JSON.stringify(profile), "EX", 24 * 3600);
});
await Promise.all(written);
writeFileSync(file, tokens.map((token) => `Token ${token}\n`).join(""));

redis.disconnect();
