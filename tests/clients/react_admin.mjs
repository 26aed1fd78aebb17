// react-admin's data provider for json-server, as published, on the service at NOTES_URL.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import jsonServerProvider from "ra-data-json-server";

import { three } from "./three.mjs";

const provider = jsonServerProvider(process.env.NOTES_URL);

const create = async (data) => (await provider.create("notes", { data })).data;

/** The parameters of a list as react-admin's pages send them. */
const list = (filter, { page = 1, perPage = 10, field = "id", order = "ASC" } = {}) => ({
  filter,
  pagination: { page, perPage },
  sort: { field, order },
});

/** The identifiers that a list answers with, and its total. */
async function listed(filter, view) {
  const { data, total } = await provider.getList("notes", list(filter, view));
  return { ids: data.map((note) => note.id), total };
}

test("create answers with the stored note", async () => {
  const note = await create({ text: "fix tap" });
  assert.deepEqual(note, { ...note, text: "fix tap", completed: false });
  assert.deepEqual((await provider.getOne("notes", { id: note.id })).data, note);
});

test("getList answers page by page with the total, also past the end", async () => {
  const { q, ids } = await three(create);
  assert.deepEqual(await listed({ q }, { perPage: 2 }), { ids: ids.slice(0, 2), total: 3 });
  assert.deepEqual(await listed({ q }, { perPage: 2, page: 2 }), { ids: ids.slice(2), total: 3 });
  assert.deepEqual(await listed({ q }, { perPage: 2, page: 3 }), { ids: [], total: 3 });
});

test("getList without a page answers with all notes", async () => {
  const { q, notes } = await three(create);
  assert.deepEqual(await provider.getList("notes", { filter: { q } }), { data: notes, total: 3 });
});

test("Export asks for a page of 1,000, and gets all notes", async () => {
  const q = randomUUID();
  const ids = [];
  while (ids.length < 105) ids.push((await create({ text: q })).id);
  assert.deepEqual(await listed({ q }, { perPage: 1000 }), { ids, total: 105 });
});

test("getList sorts by every field, both ways", async () => {
  const { q, ids } = await three(create);
  const [b, c, a] = ids;
  const orders = { id: [b, c, a], text: [a, b, c], completed: [b, a, c] };
  for (const [field, ascending] of Object.entries(orders)) {
    assert.deepEqual((await listed({ q }, { field })).ids, ascending, field);
  }
  assert.deepEqual((await listed({ q }, { field: "id", order: "DESC" })).ids, [a, c, b]);
  assert.deepEqual((await listed({ q }, { field: "text", order: "DESC" })).ids, [c, b, a]);
  assert.deepEqual((await listed({ q }, { field: "completed", order: "DESC" })).ids, [c, b, a]);
});

test("getList filters by completed, by text, by q and by text_like", async () => {
  const { q, ids } = await three(create);
  assert.deepEqual(await listed({ q, completed: true }), { ids: [ids[1]], total: 1 });
  assert.deepEqual(await listed({ q, completed: false }), { ids: [ids[0], ids[2]], total: 2 });
  assert.deepEqual(await listed({ text: `a ${q}` }), { ids: [ids[2]], total: 1 });
  assert.deepEqual(await listed({ text: `A ${q}` }), { ids: [], total: 0 });
  assert.deepEqual(await listed({ text_like: `A ${q}` }), { ids: [ids[2]], total: 1 });
  assert.deepEqual(await listed({ q, id_gte: ids[1], text_ne: `a ${q}` }), { ids: [ids[1]], total: 1 });
});

test("getMany answers with the notes of the given ids", async () => {
  const { notes, ids } = await three(create);
  assert.deepEqual((await provider.getMany("notes", { ids: ids.slice(1) })).data, notes.slice(1));
});

test("getManyReference answers with the notes that refer to a value, and their total", async () => {
  const { q, notes } = await three(create);
  const parameters = { ...list({ q }), target: "completed", id: true };
  const { data, total } = await provider.getManyReference("notes", parameters);
  assert.deepEqual({ data, total }, { data: [notes[1]], total: 1 });
});

test("update sends the whole record with its id, and answers with it", async () => {
  const note = await create({ text: "fix tap" });
  const data = { ...note, text: "fix sink", completed: true };
  const updated = await provider.update("notes", { id: note.id, data, previousData: note });
  assert.deepEqual(updated.data, data);
  assert.deepEqual((await provider.getOne("notes", { id: note.id })).data, data);
});

test("updateMany sends what changes alone, and all else stays", async () => {
  const { q, notes, ids } = await three(create);
  const data = { completed: true }; // as BulkUpdateButton sends it
  assert.deepEqual((await provider.updateMany("notes", { ids, data })).data, ids);
  const completed = notes.map((note) => ({ ...note, completed: true }));
  assert.deepEqual((await provider.getMany("notes", { ids })).data, completed);
  await provider.updateMany("notes", { ids: ids.slice(1), data: { text: q } });
  assert.deepEqual(await listed({ text: q, completed: true }), { ids: ids.slice(1), total: 2 });
});

test("delete answers with the deleted note", async () => {
  const note = await create({ text: "fix tap" });
  const { data } = await provider.delete("notes", { id: note.id, previousData: note });
  assert.equal(data.id, note.id);
  assert.equal(data.text, "fix tap");
  await assert.rejects(provider.getOne("notes", { id: note.id }), { status: 404 });
});

test("deleteMany deletes the notes of the given ids", async () => {
  const { q, ids } = await three(create);
  assert.deepEqual((await provider.deleteMany("notes", { ids: ids.slice(1) })).data, ids.slice(1));
  assert.deepEqual(await listed({ q }), { ids: ids.slice(0, 1), total: 1 });
});

test("the message of a 404 names the note", async () => {
  const { id } = await create({ text: "fix tap" });
  await provider.delete("notes", { id });
  const expected = { status: 404, message: `There is no note with id ${id}.` };
  await assert.rejects(provider.getOne("notes", { id }), expected);
});

test("the message of a filter that there is not names it, and those that there are", async () => {
  await assert.rejects(provider.getList("notes", list({ colour: 1 })), ({ status, message }) => {
    assert.equal(status, 422);
    assert.match(message, /^colour: .* these are: .*_end, .*text_like, .*completed/);
    return true;
  });
});

test("the message and the form errors of a 422 name the field", async () => {
  await assert.rejects(create({ text: 7 }), ({ status, message, body }) => {
    assert.equal(status, 422);
    assert.match(message, /^text: .*string/);
    assert.deepEqual(Object.keys(body.errors), ["text"]);
    return true;
  });
});
