// An Express application behind nginx: each account has separate notes.
import express from "express";

const app = express();
const notes = new Map();

// The caller, from the headers that nginx sets.
app.use((request, response, next) => {
  const id = request.get("X-Account-Id");
  if (!id) return response.status(401).json({ detail: "Sign in first." });
  const username = decodeURIComponent(request.get("X-Account-Username") ?? "");
  request.account = { id: Number(id), username };
  next();
});

app.use(express.json());
app.get("/notes/", (request, response) => {
  response.json({ account: request.account, notes: notes.get(request.account.id) ?? [] });
});
app.post("/notes/", (request, response) => {
  const { id } = request.account;
  notes.set(id, [...(notes.get(id) ?? []), request.body.text]);
  response.status(201).json({ text: request.body.text });
});
app.listen(Number(process.env.PORT ?? 9001), "127.0.0.1");
