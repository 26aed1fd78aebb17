// Express 5 and pg.
import express from "express";
import pg from "pg";

pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
const columns = "id, text, completed";
const app = express();
app.use(express.json());

app.get("/notes/", async (request, response) => {
  const { skip = 0, take = 20 } = request.query;
  const query = `SELECT ${columns} FROM notes ORDER BY id LIMIT $1 OFFSET $2`;
  response.json((await pool.query(query, [take, skip])).rows);
});

app.get("/notes/:id/", async (request, response) => {
  const query = `SELECT ${columns} FROM notes WHERE id = $1`;
  response.json((await pool.query(query, [request.params.id])).rows[0]);
});

app.post("/notes/", async (request, response) => {
  const { text, completed } = request.body;
  const query = `INSERT INTO notes (text, completed) VALUES ($1, $2) RETURNING ${columns}`;
  response.status(201).json((await pool.query(query, [text, completed])).rows[0]);
});

app.put("/notes/:id/", async (request, response) => {
  const { text, completed } = request.body;
  const query = `UPDATE notes SET text = $2, completed = $3 WHERE id = $1 RETURNING ${columns}`;
  response.json((await pool.query(query, [request.params.id, text, completed])).rows[0]);
});

app.listen(process.env.PORT, "127.0.0.1");
