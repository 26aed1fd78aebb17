// Hono on Node's own server, and pg.
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import pg from "pg";

pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
const columns = "id, text, completed";
const app = new Hono();

app.get("/notes/", async (c) => {
  const { skip = 0, take = 20, q, count } = c.req.query();
  const where = q ? "WHERE text ILIKE '%' || $1 || '%'" : "";
  const values = q ? [q] : [];
  if (count) {
    const { rows } = await pool.query(`SELECT count(*) FROM notes ${where}`, values);
    c.header("X-Total-Count", String(rows[0].count));
  }
  const page = `LIMIT $${values.length + 1} OFFSET $${values.length + 2}`;
  const query = `SELECT ${columns} FROM notes ${where} ORDER BY id ${page}`;
  return c.json((await pool.query(query, [...values, take, skip])).rows);
});

app.get("/notes/:id/", async (c) => {
  const query = `SELECT ${columns} FROM notes WHERE id = $1`;
  const { rows } = await pool.query(query, [c.req.param("id")]);
  return rows.length ? c.json(rows[0]) : c.notFound();
});

app.post("/notes/", async (c) => {
  const { text, completed } = await c.req.json();
  const query = `INSERT INTO notes (text, completed) VALUES ($1, $2) RETURNING ${columns}`;
  const { rows } = await pool.query(query, [text, completed]);
  return c.json(rows[0], 201);
});

app.put("/notes/:id/", async (c) => {
  const { text, completed } = await c.req.json();
  const query = `UPDATE notes SET text = $2, completed = $3 WHERE id = $1 RETURNING ${columns}`;
  const { rows } = await pool.query(query, [c.req.param("id"), text, completed]);
  return rows.length ? c.json(rows[0]) : c.notFound();
});

serve({ fetch: app.fetch, port: Number(process.env.PORT), hostname: "127.0.0.1" });
