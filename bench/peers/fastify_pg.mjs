// Fastify and pg, with the schemas that make its answers fast.
import Fastify from "fastify";
import pg from "pg";

pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
const columns = "id, text, completed";
const id = { type: "integer" };
const text = { type: "string" };
const completed = { type: "boolean" };
const note = { type: "object", properties: { id, text, completed } };
const body = { type: "object", required: ["text", "completed"], properties: { text, completed } };
const params = { type: "object", properties: { id } };
const querystring = {
  type: "object",
  properties: {
    skip: { type: "integer", default: 0 },
    take: { type: "integer", default: 20 },
    q: { type: "string" },
    count: { type: "boolean" },
  },
};
const app = Fastify();

const list = { schema: { querystring, response: { 200: { type: "array", items: note } } } };
app.get("/notes/", list, async (request, reply) => {
  const { skip, take, q, count } = request.query;
  const where = q ? "WHERE text ILIKE '%' || $1 || '%'" : "";
  const values = q ? [q] : [];
  if (count) {
    const { rows } = await pool.query(`SELECT count(*) FROM notes ${where}`, values);
    reply.header("X-Total-Count", rows[0].count);
  }
  const page = `LIMIT $${values.length + 1} OFFSET $${values.length + 2}`;
  const query = `SELECT ${columns} FROM notes ${where} ORDER BY id ${page}`;
  return (await pool.query(query, [...values, take, skip])).rows;
});

const one = { schema: { params, response: { 200: note } } };
app.get("/notes/:id/", one, async (request, reply) => {
  const query = `SELECT ${columns} FROM notes WHERE id = $1`;
  const { rows } = await pool.query(query, [request.params.id]);
  return rows[0] ?? reply.code(404).send();
});

const create = { schema: { body, response: { 201: note } } };
app.post("/notes/", create, async (request, reply) => {
  const { text, completed } = request.body;
  const query = `INSERT INTO notes (text, completed) VALUES ($1, $2) RETURNING ${columns}`;
  reply.code(201);
  return (await pool.query(query, [text, completed])).rows[0];
});

const update = { schema: { params, body, response: { 200: note } } };
app.put("/notes/:id/", update, async (request, reply) => {
  const { text, completed } = request.body;
  const query = `UPDATE notes SET text = $2, completed = $3 WHERE id = $1 RETURNING ${columns}`;
  const { rows } = await pool.query(query, [request.params.id, text, completed]);
  return rows[0] ?? reply.code(404).send();
});

await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
