// The hardest opponent: one GET from Redis and the stored profile sent as it lies there.
import Fastify from "fastify";
import { Redis } from "ioredis";

const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true });
const app = Fastify();

app.get("/account/profile", async (request, reply) => {
  const header = request.headers.authorization;
  // A record is the profile's JSON already, so nothing is parsed or written anew.
  const record = header?.startsWith("Token ") ? await redis.get(`session:${header.slice(6)}`) : null;
  if (record === null) return reply.code(401).send({ detail: "Invalid token." });
  return reply.type("application/json; charset=utf-8").send(record);
});

await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
