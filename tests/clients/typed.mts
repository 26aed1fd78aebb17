// openapi-fetch on the types that openapi-typescript makes of the service's OpenAPI document.
import assert from "node:assert/strict";
import { test } from "node:test";

import createClient from "openapi-fetch";

import type { paths } from "./schema.mjs";

const client = createClient<paths>({ baseUrl: process.env.NOTES_URL ?? "" });

async function create(text: string) {
  const { data, response } = await client.POST("/notes/", { body: { text } });
  assert.ok(data);
  return { ...data, etag: response.headers.get("ETag") ?? "" };
}

test("a note is created from its text alone", async () => {
  const { id, text, completed } = await create("fix tap");
  assert.ok(id >= 1);
  assert.equal(text.toUpperCase(), "FIX TAP");
  assert.equal(completed, false);
});

test("a list takes typed parameters, and is typed", async () => {
  const notes = [await create("fix tap"), await create("fix sink")];
  const after = notes[0].id - 1;
  const query = { after, sort: "id", completed: false, count: true } as const;
  const { data, response } = await client.GET("/notes/", { params: { query } });
  assert.deepEqual(data?.map((note) => note.text), ["fix tap", "fix sink"]);
  assert.ok(Number(response.headers.get("X-Total-Count")) >= 2);
});

test("a tag that is sent back as If-Match guards a write", async () => {
  const { id, etag } = await create("fix tap");
  const params = { path: { note_id: id }, header: { "if-match": [etag] } };
  const patched = await client.PATCH("/notes/{note_id}/", { params, body: { completed: true } });
  assert.equal(patched.data?.completed, true);
  const deleted = await client.DELETE("/notes/{note_id}/", { params });
  assert.equal(deleted.response.status, 412);
  assert.equal(deleted.error?.status, 412);
});

test("an error is typed as a problem", async () => {
  const params = { path: { note_id: 0 } };
  const { error } = await client.GET("/notes/{note_id}/", { params });
  assert.match(error?.message ?? "", /^note_id: /);
  assert.ok(error?.errors?.["note_id"]);
});

test("what the service refuses does not compile", async () => {
  const path = { note_id: 0 };
  // @ts-expect-error: text is required
  await client.POST("/notes/", { body: { completed: true } });
  // @ts-expect-error: PUT replaces the whole note
  await client.PUT("/notes/{note_id}/", { params: { path }, body: { completed: true } });
  // @ts-expect-error: there is no such order
  await client.GET("/notes/", { params: { query: { sort: "colour" } } });
  // @ts-expect-error: completed is a boolean
  await client.PATCH("/notes/{note_id}/", { params: { path }, body: { completed: "yes" } });
});
