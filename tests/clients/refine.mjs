// refine's simple REST data provider, as published, on the service at NOTES_URL.
import assert from "node:assert/strict";
import { test } from "node:test";

import dataProvider from "@refinedev/simple-rest";

import { three } from "./three.mjs";

const provider = dataProvider(process.env.NOTES_URL);
const resource = "notes";

const create = async (variables) => (await provider.create({ resource, variables })).data;

/** The filters of a list as refine's tables send them. */
const filters = (values, operator = "eq") =>
  Object.entries(values).map(([field, value]) => ({ field, operator, value }));

/** The identifiers that a list answers with, and its total. */
async function listed(parameters) {
  const { data, total } = await provider.getList({ resource, ...parameters });
  return { ids: data.map((note) => note.id), total };
}

test("create answers with the stored note", async () => {
  const note = await create({ text: "fix tap" });
  assert.deepEqual(note, { ...note, text: "fix tap", completed: false });
  assert.deepEqual((await provider.getOne({ resource, id: note.id })).data, note);
});

test("getList answers page by page with the total", async () => {
  const { q, ids } = await three(create);
  const page = (currentPage) =>
    listed({ filters: filters({ q }), pagination: { currentPage, pageSize: 2 } });
  assert.deepEqual(await page(1), { ids: ids.slice(0, 2), total: 3 });
  assert.deepEqual(await page(2), { ids: ids.slice(2), total: 3 });
  assert.deepEqual(await page(3), { ids: [], total: 3 });
});

test("getList without pagination answers with all notes and the total", async () => {
  const { q, ids } = await three(create);
  while (ids.length < 25) ids.push((await create({ text: q })).id);
  for (const mode of ["off", "client"]) {
    const answer = await listed({ filters: filters({ q }), pagination: { mode } });
    assert.deepEqual(answer, { ids, total: 25 });
  }
});

test("getList sorts by every field, both ways", async () => {
  const { q, ids } = await three(create);
  const [b, c, a] = ids;
  const sorted = async (field, order) =>
    (await listed({ filters: filters({ q }), sorters: [{ field, order }] })).ids;
  assert.deepEqual(await sorted("id", "asc"), [b, c, a]);
  assert.deepEqual(await sorted("id", "desc"), [a, c, b]);
  assert.deepEqual(await sorted("text", "asc"), [a, b, c]);
  assert.deepEqual(await sorted("text", "desc"), [c, b, a]);
  assert.deepEqual(await sorted("completed", "asc"), [b, a, c]);
  assert.deepEqual(await sorted("completed", "desc"), [c, b, a]);
});

test("getList filters by equality and by what a field contains", async () => {
  const { q, ids } = await three(create);
  const completed = (value) => listed({ filters: filters({ q, completed: value }) });
  assert.deepEqual(await completed(true), { ids: [ids[1]], total: 1 });
  assert.deepEqual(await completed(false), { ids: [ids[0], ids[2]], total: 2 });
  const equal = (text) => listed({ filters: filters({ q, text }) });
  assert.deepEqual(await equal(`a ${q}`), { ids: [ids[2]], total: 1 });
  assert.deepEqual(await equal(`A ${q}`), { ids: [], total: 0 });
  const containing = await listed({ filters: filters({ text: `A ${q}` }, "contains") });
  assert.deepEqual(containing, { ids: [ids[2]], total: 1 });
});

test("getList sorts by two columns, each in its own direction", async () => {
  const { q, ids } = await three(create);
  const [b, c, a] = ids;
  const sorted = async (...orders) => {
    const sorters = orders.map(([field, order]) => ({ field, order }));
    return (await listed({ filters: filters({ q }), sorters })).ids;
  };
  assert.deepEqual(await sorted(["completed", "asc"], ["text", "asc"]), [a, b, c]);
  assert.deepEqual(await sorted(["completed", "desc"], ["text", "asc"]), [c, a, b]);
  assert.deepEqual(await sorted(["completed", "asc"], ["id", "desc"]), [a, b, c]);
});

test("getList filters by ne, gte and lte", async () => {
  const { q, ids } = await three(create);
  const found = async (...conditions) => {
    const more = conditions.map(([field, operator, value]) => ({ field, operator, value }));
    return (await listed({ filters: [...filters({ q }), ...more] })).ids;
  };
  assert.deepEqual(await found(["text", "ne", `a ${q}`]), ids.slice(0, 2));
  assert.deepEqual(await found(["completed", "ne", true]), [ids[0], ids[2]]);
  assert.deepEqual(await found(["id", "gte", ids[1]]), ids.slice(1));
  assert.deepEqual(await found(["id", "gte", ids[1]], ["id", "lte", ids[1]]), [ids[1]]);
  assert.deepEqual(await found(["text", "gte", "b"], ["id", "ne", ids[1]]), [ids[0]]);
});

test("a filter that there is not is refused, and named", async () => {
  const refused = (parameters, message) =>
    assert.rejects(listed(parameters), { statusCode: 422, message });
  await refused({ filters: filters({ colour: 1 }) }, /^colour: /);
  await refused({ filters: filters({ id: 3 }, "contains") }, /^id_like: /);
  await refused({ sorters: [{ field: "colour", order: "asc" }] }, /^_sort: /);
});

test("getMany answers with the notes of the given ids", async () => {
  const { notes, ids } = await three(create);
  assert.deepEqual((await provider.getMany({ resource, ids: ids.slice(1) })).data, notes.slice(1));
});

test("update changes only what it sends", async () => {
  const note = await create({ text: "fix tap" });
  const variables = { completed: true };
  const { data } = await provider.update({ resource, id: note.id, variables });
  assert.deepEqual(data, { ...note, completed: true });
});

test("useUpdateMany's way, one update for each id, changes them all", async () => {
  const { q, ids } = await three(create);
  const variables = { completed: true };
  await Promise.all(ids.map((id) => provider.update({ resource, id, variables })));
  assert.deepEqual(await listed({ filters: filters({ q, completed: true }) }), { ids, total: 3 });
});

test("deleteOne answers with the deleted note", async () => {
  const note = await create({ text: "fix tap" });
  const { data } = await provider.deleteOne({ resource, id: note.id });
  assert.equal(data.id, note.id);
  assert.equal(data.text, "fix tap");
  await assert.rejects(provider.getOne({ resource, id: note.id }), { statusCode: 404 });
});

test("useDeleteMany's way, one deleteOne for each id, deletes them all", async () => {
  const { q, ids } = await three(create);
  await Promise.all(ids.map((id) => provider.deleteOne({ resource, id })));
  assert.deepEqual(await listed({ filters: filters({ q }) }), { ids: [], total: 0 });
});

test("the message of a 404 names the note", async () => {
  const { id } = await create({ text: "fix tap" });
  await provider.deleteOne({ resource, id });
  const expected = { statusCode: 404, message: `There is no note with id ${id}.` };
  await assert.rejects(provider.getOne({ resource, id }), expected);
});

test("the message of a 422 names the field", async () => {
  const expected = { statusCode: 422, message: /^text: .*string/ };
  await assert.rejects(create({ text: 7 }), expected);
});
