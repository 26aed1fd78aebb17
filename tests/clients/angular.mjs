// Angular's HttpClient with its fetch backend, on the service at NOTES_URL.
import assert from "node:assert/strict";
import { test } from "node:test";

import "@angular/compiler"; // links the published half-compiled packages, as no build step does it here
import { HttpClient, provideHttpClient, withFetch } from "@angular/common/http";
import {
  createEnvironmentInjector,
  provideZonelessChangeDetection,
  ɵINJECTOR_SCOPE as INJECTOR_SCOPE, // only an application with a DOM has a public root injector
} from "@angular/core";
import { firstValueFrom } from "rxjs";

const root = { provide: INJECTOR_SCOPE, useValue: "root" };
const providers = [root, provideZonelessChangeDetection(), provideHttpClient(withFetch())];
const http = createEnvironmentInjector(providers, null).get(HttpClient);
const notes = `${process.env.NOTES_URL}/notes`;

const create = (note) => firstValueFrom(http.post(notes, note, { observe: "response" }));

test("a created note comes with its body, Location and ETag", async () => {
  const { status, body, headers } = await create({ text: "fix tap" });
  assert.equal(status, 201);
  assert.deepEqual(body, { ...body, text: "fix tap", completed: false });
  assert.equal(headers.get("Location"), `/notes/${body.id}/`);
  assert.match(headers.get("ETag"), /^"[^"]+"$/);
});

test("a list comes with its Link and X-Total-Count", async () => {
  await create({ text: "fix tap" });
  await create({ text: "fix sink" });
  const options = { observe: "response", params: { take: 1, count: true } };
  const { body, headers } = await firstValueFrom(http.get(notes, options));
  assert.equal(body.length, 1);
  assert.ok(Number(headers.get("X-Total-Count")) >= 2);
  const [, target] = headers.get("Link").match(/^<(.+)>; rel="next"$/);
  const next = new URL(target, `${notes}/`);
  const [second] = await firstValueFrom(http.get(next.href));
  assert.ok(second.id > body[0].id);
});

test("an ETag that is sent back guards a write", async () => {
  const { body, headers } = await create({ text: "fix tap" });
  const options = { headers: { "If-Match": headers.get("ETag") } };
  const note = `${notes}/${body.id}`;
  const patched = await firstValueFrom(http.patch(note, { completed: true }, options));
  assert.deepEqual(patched, { ...body, completed: true });
  await assert.rejects(firstValueFrom(http.delete(note, options)), { status: 412 });
});

test("the error of a problem holds its message and its wrong fields", async () => {
  await assert.rejects(create({ text: 7 }), ({ status, error }) => {
    assert.equal(status, 422);
    assert.match(error.message, /^text: .*string/);
    assert.deepEqual(Object.keys(error.errors), ["text"]);
    return true;
  });
});
