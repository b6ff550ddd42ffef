// The library's own handler on Node's http server; the benchmark reads /api/auth/get-session.
import { createServer } from "node:http";
import { toNodeHandler } from "better-auth/node";
import { auth } from "./auth.mjs";

createServer(toNodeHandler(auth)).listen(Number(process.env.PORT), "127.0.0.1");
