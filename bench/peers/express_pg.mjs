// Express 5 and pg.
import express from "express";
import pg from "pg";

pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
const columns = "id, text, completed";
const app = express();
app.use(express.json());

app.get("/notes/", async (request, response) => {
  const { skip = 0, take = 20, q, count } = request.query;
  const where = q ? "WHERE text ILIKE '%' || $1 || '%'" : "";
  const values = q ? [q] : [];
  if (count) {
    const { rows } = await pool.query(`SELECT count(*) FROM notes ${where}`, values);
    response.set("X-Total-Count", String(rows[0].count));
  }
  const page = `LIMIT $${values.length + 1} OFFSET $${values.length + 2}`;
  const query = `SELECT ${columns} FROM notes ${where} ORDER BY id ${page}`;
  response.json((await pool.query(query, [...values, take, skip])).rows);
});

app.get("/notes/:id/", async (request, response) => {
  const query = `SELECT ${columns} FROM notes WHERE id = $1`;
  const { rows } = await pool.query(query, [request.params.id]);
  if (rows.length) response.json(rows[0]);
  else response.sendStatus(404);
});

app.post("/notes/", async (request, response) => {
  const { text, completed } = request.body;
  const query = `INSERT INTO notes (text, completed) VALUES ($1, $2) RETURNING ${columns}`;
  const { rows } = await pool.query(query, [text, completed]);
  response.status(201).json(rows[0]);
});

app.put("/notes/:id/", async (request, response) => {
  const { text, completed } = request.body;
  const query = `UPDATE notes SET text = $2, completed = $3 WHERE id = $1 RETURNING ${columns}`;
  const { rows } = await pool.query(query, [request.params.id, text, completed]);
  if (rows.length) response.json(rows[0]);
  else response.sendStatus(404);
});

app.listen(process.env.PORT, "127.0.0.1");
